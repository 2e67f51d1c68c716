// The only matrix product that model code knows.
//
//   y[m,n] = Σ_k x[m,k] · W[n,k] + b[n]
//
// The sum over k runs in one order for every output: blocks of kGemmDepth in increasing k, inside a block one
// fused multiply-add chain from zero, block sums added in order. It does not depend on M, on the number of
// threads, or on the tier's vector width, so decode = prefill = batched, bit for bit. Products::fast takes
// integers where the weight has them (ops/integer_gemm.h: the same holds), else bf16 for a bf16 weight where
// the CPU has such products, else f32. A weight with a
// low-rank part (weights/low_rank.h) is its base's product and two thin ones after it, each summed so: y =
// x·(cW)ᵀ + (x·Aᵀ)·(scB)ᵀ + b.
#pragma once
#include "ops/gemm.h"
#include "tensor/tensor.h"
#include "weights/weight.h"

namespace pare {

/// All: inputs of the product as `products` says (ops/gemm.h).
/// x (M,K) f32 · W (N,K) any format · bias (N) f32 or undefined  →  y (M,N) f32. `y` must not alias `x`.
void linear(
    const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products = Products::f32);
/// As linear, but y += xWᵀ + b: the residual stream.
void linear_add(
    const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products = Products::f32);

/// dy (M,N) → writes dx (M,K) = dy·W. Works from packed bytes.
void linear_backward_input(const Tensor& dy, const Weight& w, Tensor& dx, Products products = Products::f32);
/// As above, but dx += dy·W.
void linear_backward_input_add(const Tensor& dy,
                               const Weight& w,
                               Tensor& dx,
                               Products products = Products::f32);
/// Adds dyᵀ·x to dw (N,K) and Σ_m dy to dbias (N) when that is defined.
void linear_backward_weight(
    const Tensor& dy, const Tensor& x, Tensor& dw, Tensor& dbias, Products products = Products::f32);

}  // namespace pare
