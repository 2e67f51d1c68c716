// Matrices of low rank that are nearest to a given one, plainly or as the inputs of a layer see it.
//
//   plain      min ‖E − BA‖_F²                    E = USVᵀ cut to R:  B = U√S, A = √S·Vᵀ
//   whitened   min tr((E−BA) (H+λI) (E−BA)ᵀ)      H + λI = LLᵀ, E·L = USVᵀ cut to R:  B = U√S, A = √S·Vᵀ·L⁻¹
//
// with λ = damping · mean(diag H). What is lost is Σ s² of the singular values cut off, in either norm.
// Sources: Eckart & Young 1936; Halko, Martinsson & Tropp 2011, arXiv:0909.4061, algorithms 4.4 and 5.1 (a
// randomised range finder, here with four power iterations); the whitened form: Liu et al. 2024,
// arXiv:2410.21271 (EoRA, which takes the eigenvectors of H where this takes its Cholesky factor: the same
// optimum, found faster).
#pragma once
#include <vector>

#include "tensor/tensor.h"

namespace pare {

/// The R largest singular values, falling, and their vectors as columns of U (N, R) and rows of Vᵀ (R, K).
struct TruncatedSvd {
  Tensor u, vt;  // f32
  std::vector<double> s;
};

/// m (N, K) f32. In f64 where min(N, K) is at most 256 or the rank more than a third of it; else randomised,
/// with products in f32: the error is within 1 % of the least one. The same bits for any number of threads.
/// Throws a user error unless 1 ≤ rank ≤ min(N, K), and on NaN or Inf.
TruncatedSvd truncated_svd(const Tensor& m, i64 rank);

struct LowRankPart {
  Tensor b, a;         // (N, R), (R, K) f32
  double damping = 0;  // that served (compress/inverse_factor.h); 0 for the plain form
};

/// The plain form, and the whitened one with H (K, K) f32. Errors as above, and those of gram_factor().
LowRankPart nearest_low_rank(const Tensor& e, i64 rank);
LowRankPart whitened_low_rank(const Tensor& e, const Tensor& h, double damping, i64 rank);

/// BA (N, K) f32.
Tensor low_rank_product(const LowRankPart& part);

}  // namespace pare
