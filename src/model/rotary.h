// Rotary embedding of a batch, with the frequencies that each of its sequences has.
//
// Only "dynamic" scaling (NTK-aware, as transformers names it) lets the frequencies depend on a sequence:
// with S the larger of its length and max_positions P, R rotary dims and base θ,
//
//   θ' = θ · (factor·S/P − (factor − 1))^(R/(R−2))        inv_freq[i] = θ'^(−2i/R)
//
// transformers grows S with every new token and keeps the keys that were rotated before as they are; here S
// is fixed for a request, from its prompt and the tokens it may add, so that a token's bits do not depend on
// how it came.
#pragma once
#include <vector>

#include "model/forward.h"

namespace pare {

/// (R/2) for a sequence of `length` tokens.
std::vector<float> rotary_frequencies(const Config& c, i64 length);

/// In place on x (N, heads·E).
void rotate(const Config& c, const Batch& batch, Tensor& x);
/// The adjoint, in place on dx (N, heads·E).
void rotate_backward(const Config& c, const Batch& batch, Tensor& dx);

}  // namespace pare
