// The next token from a row of logits: greedy, or temperature, then top-k, then top-p (the order of
// transformers). Source of top-p: Holtzman et al. 2020, arXiv:1904.09751.
#pragma once
#include <span>

#include "base/rng.h"
#include "base/types.h"

namespace pare {

struct SamplerOptions {
  double temperature = 0;  // 0 = greedy
  i64 top_k = 0;           // 0 = off
  double top_p = 1;        // 1 = off
  u64 seed = 0;
};

/// Throws a user error for a temperature below 0, top_k below 0, or top_p outside (0, 1].
void check_sampler(const SamplerOptions& o);

/// The lowest index of the largest logit when greedy, else a draw from rng. Throws a job error when a logit
/// is NaN, and in a draw when the largest is infinite.
i32 sample(std::span<const float> logits, const SamplerOptions& o, Rng& rng);

}  // namespace pare
