// Root-mean-square normalisation of each row.
// Source: Zhang & Sennrich 2019, arXiv:1910.07467.
//
//   r[n]   = 1 / sqrt(mean_d(x[n,d]²) + eps)
//   y[n,d] = x[n,d] · r[n] · w[d]
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// x (N,D) f32 · w (D) f32  →  y (N,D) as x · r (N) f32, kept for the backward pass.
/// `y` may be `x`. Same bits for any N and thread count. Throws a bug when shapes or dtypes disagree.
/// Also serves q/k norms: view (N, H·E) as (N·H, E).
void rmsnorm(const Tensor& x, const Tensor& w, float eps, Tensor& y, Tensor& r);

/// Writes dx (N,D), adds to dw (D). `dx` may be `dy`. The sum over rows for dw runs in one fixed order for
/// any thread count. REQUIRES: rmsnorm() filled r for this x.
void rmsnorm_backward(
    const Tensor& dy, const Tensor& x, const Tensor& w, const Tensor& r, Tensor& dx, Tensor& dw);

}  // namespace pare
