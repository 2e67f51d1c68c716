// The only matrix product that model code knows.
//
//   y[m,n] = Σ_k x[m,k] · W[n,k] + b[n]
//
// The sum over k runs in one order for every output: blocks of kGemmDepth in increasing k, inside a block one
// fused multiply-add chain from zero, block sums added in order. It does not depend on M, on the number of
// threads, or on the tier's vector width, so decode = prefill = batched, bit for bit.
#pragma once
#include "tensor/tensor.h"
#include "weights/weight.h"

namespace pare {

/// x (M,K) f32 · W (N,K) any format · bias (N) f32 or undefined  →  y (M,N) f32. `y` must not alias `x`.
void linear(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y);
/// As linear, but y += xWᵀ + b: the residual stream.
void linear_add(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y);

/// dy (M,N) → writes dx (M,K) = dy·W. Works from packed bytes.
void linear_backward_input(const Tensor& dy, const Weight& w, Tensor& dx);
/// As above, but dx += dy·W.
void linear_backward_input_add(const Tensor& dy, const Weight& w, Tensor& dx);
/// Adds dyᵀ·x to dw (N,K) and Σ_m dy to dbias (N) when that is defined.
void linear_backward_weight(const Tensor& dy, const Tensor& x, Tensor& dw, Tensor& dbias);

}  // namespace pare
