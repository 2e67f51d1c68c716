// How many tokens to draft for each request of a step, so that tokens per second are most.
//
// A draft of γ tokens, each of which fits with probability α if those before it did, gives
//
//   E(γ) = 1 + α + … + α^γ = (1 − α^(γ+1)) / (1 − α)      tokens
//
// Source: Leviathan et al. 2023, arXiv:2211.17192, eq. 1. Deviation: no formula for the cost, which on a CPU
// grows with the rows after the first few; it is what the caller measured.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "base/types.h"

namespace pare {

/// E(γ) above. REQUIRES: 0 ≤ acceptance ≤ 1.
double expected_tokens(double acceptance, i64 draft);

struct DraftWish {
  double acceptance = 0;
  i64 most = 0;  // tokens that can be drafted
};

/// Seconds of a step with `drafted` drafted tokens in all, the longest draft being of `longest`.
using DraftSeconds = std::function<double(i64 drafted, i64 longest)>;

/// A length for each wish, at most `budget` in all: the likeliest tokens first, as many as make
/// Σ E(γ) / seconds largest. All 0 unless that is kLeastGain times as fast as no drafts, and when the time
/// without drafts is not known (0).
std::vector<i64> draft_lengths(std::span<const DraftWish> wishes, i64 budget, const DraftSeconds& seconds);

inline constexpr double kLeastGain = 1.03;

}  // namespace pare
