// The largest singular values of a dense matrix, and their vectors.
// Source: Halko, Martinsson & Tropp 2011, arXiv:0909.4061, algorithms 4.4 and 5.1: a randomised range finder,
// here with four power iterations.
//
//   M ≈ U · diag(s) · Vᵀ
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

}  // namespace pare
