// The weights that make good what the layers before have lost.
//
//   min over Q of ‖QX̂ − WX‖²  =  min of tr((Q−W*) H (Q−W*)ᵀ) + const,     W* = W·(G+λI)·(H+λI)⁻¹
//   W_α = W + α·(W* − W) = W + α·W·(G−H)·(H+λI)⁻¹
//
// H = X̂X̂ᵀ of the inputs as they come now, G = XX̂ᵀ with those of the dense model: any method that minimises
// over H serves, given W_α in place of W. α = 0 is W; α = 1 the exact target, which with few tokens fits
// their noise. Source: the aim of Li et al. 2025, arXiv:2504.02692 (GPTAQ), by completing the square.
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// W (N, K), H and G (K, K) f32 → W_α. λ as inverse_factor() takes it for `damping`, raised alike. Inputs
/// that are dead (H[j,j] = 0) keep their weights. Throws a user error when H cannot be factored.
Tensor shifted_target(const Tensor& w, const Tensor& h, const Tensor& g, double damping, double alpha);

}  // namespace pare
