// The best weights on a mask that is given: each row's least squares over what it keeps.
//
//   min tr((W−V) H (W−V)ᵀ)  over V that is zero where the mask is      row by row: H_SS v_S = (H w)_S
//
// Conjugate gradients on all rows at once, preconditioned by diag H; one matrix product an iteration.
// Source: Meng et al. 2024, arXiv:2406.07831 (ALPS), its last step.
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// V (N, K) f32, zero wherever `mask` (N, K) u8 is 0, is improved in place by `iterations`; H (K, K) f32,
/// symmetric with a positive diagonal. Returns the loss after them. Each iteration lowers it or leaves it.
double masked_least_squares(Tensor& v, const Tensor& w, const Tensor& mask, const Tensor& h, i64 iterations);

}  // namespace pare
