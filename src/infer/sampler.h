// The next token from a row of logits, in the order of transformers:
//
//   penalties → greedy, or: temperature → top-k → top-p → min-p → typical → draw
//
// Each step sees the probabilities that the steps before it left, summing to 1.
// Sources: top-p Holtzman et al. 2020, arXiv:1904.09751; typical Meister et al. 2023, arXiv:2202.00666; min-p
// Nguyen et al. 2024, arXiv:2407.01082; repetition penalty Keskar et al. 2019, arXiv:1909.05858; presence and
// frequency penalties as the OpenAI API defines them.
#pragma once
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/types.h"

namespace pare {

struct SamplerOptions {
  double temperature = 0;  // 0 = greedy
  i64 top_k = 0;           // keeps the k likeliest; 0 = off
  double top_p = 1;        // keeps the likeliest that reach this share; 1 = off
  double min_p = 0;        // keeps those of at least this share of the likeliest's probability; 0 = off
  double typical_p = 1;    // keeps those of the most typical information that reach this share; 1 = off
  double repetition_penalty =
      1;  // divides positive, multiplies negative logits of tokens seen (prompt or answer)
  double presence_penalty = 0;   // taken from the logit of each token of the answer
  double frequency_penalty = 0;  // the same times how often it is there
  u64 seed = 0;

  bool has_penalties() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0;
  }
};

/// Throws a user error naming the option that is out of its range.
void check_sampler(const SamplerOptions& o);

/// In place on a row of logits.
void penalise(std::span<float> logits,
              const SamplerOptions& o,
              std::span<const i32> prompt,
              std::span<const i32> answer);

/// The lowest index of the largest logit when greedy, else a draw from rng. Throws a job error when a logit
/// is NaN, and in a draw when the largest is infinite.
i32 sample(std::span<const float> logits, const SamplerOptions& o, Rng& rng);

struct TokenLogprob {
  i32 id = 0;
  double logprob = 0;  // natural logarithm of the softmax of the logits
};

/// The chosen token's log probability, then those of the `top` likeliest (ties: the smaller id first).
std::vector<TokenLogprob> logprobs(std::span<const float> logits, i32 chosen, i64 top);

}  // namespace pare
