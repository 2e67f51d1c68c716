// Elementwise functions of the feed-forward block.
//
//   silu_mul: y = silu(g) · u,  silu(g) = g / (1 + e^−g)                        (Shazeer 2020,
//   arXiv:2002.05202) gelu_tanh: y = ½x(1 + tanh(√(2/π)(x + 0.044715 x³)))                        (Hendrycks
//   2016, arXiv:1606.08415)
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// g, u (N,F) f32 → y (N,F). `y` may be `g` or `u`.
void silu_mul(const Tensor& g, const Tensor& u, Tensor& y);
/// Writes dg and du (N,F). `dg` may be `g`, `du` may be `u`; `dy` may be neither unless it is one of them.
void silu_mul_backward(const Tensor& dy, const Tensor& g, const Tensor& u, Tensor& dg, Tensor& du);

/// x (N,F) f32 → y (N,F). `y` may be `x`.
void gelu_tanh(const Tensor& x, Tensor& y);
/// Writes dx (N,F). `dx` may be `dy`.
void gelu_tanh_backward(const Tensor& dy, const Tensor& x, Tensor& dx);

/// y += x, both f32 of one shape.
void add_to(const Tensor& x, Tensor& y);
/// y = x · s, both f32 of one shape; `y` may be `x`.
void scale(const Tensor& x, float s, Tensor& y);

}  // namespace pare
