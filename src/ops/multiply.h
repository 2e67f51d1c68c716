// Plain products of dense f32 matrices that are no layer's: what factorisations and compression compute with.
#pragma once
#include "ops/gemm.h"
#include "tensor/tensor.h"

namespace pare {

/// A matrix, or a part of one, as it lies or transposed.
struct MatrixPart {
  const float* data;
  i64 stride;
  Layout layout = Layout::plain;
};

/// C (M, N) = A (M, K) · B (K, N), or += with Result::add; rows of C at c + m·ldc. C must not alias A or B.
void multiply(i64 M, i64 N, i64 K, MatrixPart a, MatrixPart b, float* c, i64 ldc, Result result);

/// A·B of whole matrices, either one as it lies or transposed; in fresh memory.
Tensor multiplied(const Tensor& a, Layout layout_a, const Tensor& b, Layout layout_b);
inline Tensor multiplied(const Tensor& a, const Tensor& b) {
  return multiplied(a, Layout::plain, b, Layout::plain);
}

}  // namespace pare
