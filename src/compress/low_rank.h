// Matrices of low rank that are nearest to a given one, plainly or as the inputs of a layer see it.
//
//   plain      min ‖E − BA‖_F²                    E = USVᵀ cut to R:  B = U√S, A = √S·Vᵀ
//   whitened   min tr((E−BA) (H+λI) (E−BA)ᵀ)      H + λI = LLᵀ, E·L = USVᵀ cut to R:  B = U√S, A = √S·Vᵀ·L⁻¹
//
// with λ = damping · mean(diag H). What is lost is Σ s² of the singular values cut off, in either norm.
// Sources: Eckart & Young 1936; the whitened form: Liu et al. 2024, arXiv:2410.21271 (EoRA, which takes the
// eigenvectors of H where this takes its Cholesky factor: the same optimum, found faster). Singular values by
// ops/truncated_svd.h.
#pragma once

#include "tensor/tensor.h"

namespace pare {

struct LowRankPart {
  Tensor b, a;         // (N, R), (R, K) f32
  double damping = 0;  // that served (compress/inverse_factor.h); 0 for the plain form
};

/// The plain form, and the whitened one with H (K, K) f32. Errors as those of truncated_svd() and
/// gram_factor().
LowRankPart nearest_low_rank(const Tensor& e, i64 rank);
LowRankPart whitened_low_rank(const Tensor& e, const Tensor& h, double damping, i64 rank);

/// BA (N, K) f32.
Tensor low_rank_product(const LowRankPart& part);

}  // namespace pare
