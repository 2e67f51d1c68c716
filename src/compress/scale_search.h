// Scales of inputs that make rounding cost less: important inputs are made large before it and small after.
//
//   W·x = (W·diag s)·(diag s⁻¹·x)        s_j = a_j^r, a_j = mean |x_j|, normalised to √(max s · min s) = 1
//   min over r of Σ_W tr(Δ H Δᵀ),        Δ = Q(W·diag s)·diag s⁻¹ − W
//
// H tells the loss of the layers' outputs exactly, so no candidate needs a forward pass.
// Source: Lin et al. 2023, arXiv:2306.00978 (AWQ); the scale of Xiao et al. 2022, arXiv:2211.10438
// (SmoothQuant).
#pragma once
#include <vector>

#include "weights/int_group.h"

namespace pare {

struct ScaleSearch {
  Tensor s;                   // (K) f32, > 0
  double ratio = 0;           // r
  double loss = 0;            // Σ tr(ΔHΔᵀ) at r
  std::vector<double> tried;  // of r = 0, 1/steps, …; the first is plain rounding
};

/// Weights (N_i, K) f32 that share an input, H (K, K) and magnitudes a (K) f32 ≥ 0. r = 0, 1/steps, …,
/// (steps−1)/steps; the best is never worse than r = 0 on H. Inputs whose magnitude is 0 count as the
/// smallest of the others.
ScaleSearch search_scales(const std::vector<Tensor>& weights,
                          const Tensor& h,
                          const Tensor& magnitudes,
                          const IntGroupOptions& format,
                          i64 steps = 20);

/// s_j = max|x_j|^strength / max_n |W[n,j]|^(1−strength) (K), normalised as above: what activations are hard
/// to round in goes over to weights. Inputs or columns of zeros get 1.
Tensor smoothing_scales(const std::vector<Tensor>& weights, const Tensor& max_abs, double strength);

/// W·diag s in place; H becomes diag s⁻¹·H·diag s⁻¹: what it is for inputs divided by s.
void scale_columns(Tensor& w, const Tensor& s);
Tensor scaled_gram(const Tensor& h, const Tensor& s);

}  // namespace pare
