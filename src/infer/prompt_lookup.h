// Drafts without a model: text repeats itself, so what followed the last tokens the last time may follow
// again.
//
//   the last n tokens, n = 4, 3, 2, stood somewhere before → the tokens behind the latest such place
//
// A copy that reaches the end of the text goes on in itself (LZ77), so a loop of two tokens drafts any
// length. Source: Saxena 2023, "Prompt lookup decoding" (github.com/apoorvumang/prompt-lookup-decoding).
#pragma once
#include <array>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/types.h"

namespace pare {

/// Follows one sequence. A token costs three insertions into a hash table, a draft three comparisons. Not
/// thread-safe.
class PromptLookup {
 public:
  static constexpr i64 kShortest = 2, kLongest = 4;

  /// `most` tokens that may follow `tokens`, or none; matched() tells how many tokens stood there before.
  /// REQUIRES: `tokens` begin with those of the call before.
  std::vector<i32> draft(std::span<const i32> tokens, i64 most);
  /// n of the last draft; the longer, the likelier it fits.
  i64 matched() const { return matched_; }

 private:
  struct Run {                            // of n tokens
    std::unordered_map<u64, i64> behind;  // hash of a run → the place behind the latest one
    i64 earlier = -1;                     // the same for the last n tokens, without themselves
  };
  void add(std::span<const i32> tokens);

  i64 seen_ = 0, matched_ = kShortest;
  std::array<Run, kLongest - kShortest + 1> runs_;  // the longest first
};

}  // namespace pare
