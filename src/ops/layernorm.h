// Layer normalisation of each row.
// Source: Ba et al. 2016, arXiv:1607.06450.
//
//   m[n] = mean_d(x[n,d])    r[n] = 1 / sqrt(mean_d((x[n,d] − m[n])²) + eps)
//   y[n,d] = (x[n,d] − m[n]) · r[n] · w[d] + b[d]
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// x (N,D) f32 · w, b (D) f32  →  y (N,D) · m, r (N) f32, kept for the backward pass. `y` may be `x`.
void layernorm(const Tensor& x, const Tensor& w, const Tensor& b, float eps, Tensor& y, Tensor& m, Tensor& r);

/// Writes dx (N,D), adds to dw (D) and db (D). `dx` may be `dy`. Fixed order over rows for any thread count.
void layernorm_backward(const Tensor& dy,
                        const Tensor& x,
                        const Tensor& w,
                        const Tensor& m,
                        const Tensor& r,
                        Tensor& dx,
                        Tensor& dw,
                        Tensor& db);

}  // namespace pare
