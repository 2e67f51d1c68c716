#include "ops/multiply.h"

namespace pare {

void multiply(i64 M, i64 N, i64 K, MatrixPart a, MatrixPart b, float* c, i64 ldc, Result result) {
  GemmB right;
  right.data = b.data, right.stride = b.stride, right.layout = b.layout;
  gemm(M, N, K, {a.data, a.stride, a.layout}, right, c, ldc, result);
}

Tensor multiplied(const Tensor& a, Layout layout_a, const Tensor& b, Layout layout_b) {
  const i64 M = layout_a == Layout::plain ? a.dim(0) : a.dim(1), K = a.dim(layout_a == Layout::plain ? 1 : 0);
  const i64 N = layout_b == Layout::plain ? b.dim(1) : b.dim(0);
  Tensor c = Tensor::empty({M, N});
  multiply(M, N, K, {a.f32(), a.dim(1), layout_a}, {b.f32(), b.dim(1), layout_b}, c.f32(), N, Result::write);
  return c;
}

}  // namespace pare
