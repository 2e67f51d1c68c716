// How to spend a budget of bytes over weights when each can be stored in several ways.
//
//   min Σ_i loss(i, c_i)   subject to   Σ_i bytes(i, c_i) ≤ budget       one choice c_i for each weight i
//
// The multiple-choice knapsack, solved exactly over bytes counted in units: their greatest common divisor, or
// a coarser one where that would make more than 2^18 of them. Then sizes are rounded up, so that the budget
// holds and at most one unit per weight is left over.
// Source: Kellerer, Pferschy, Pisinger 2004, Knapsack Problems, ch. 11.
#pragma once
#include <vector>

#include "base/types.h"

namespace pare {

struct StorageChoice {
  i64 bytes = 0;
  double loss = 0;
};

struct Allocation {
  std::vector<std::size_t> chosen;  // per weight
  i64 bytes = 0;
  double loss = 0;
};

/// choices[i]: at least one for each weight, in any order. Throws a user error naming the smallest budget
/// when not even the smallest choices fit; losses must be finite.
Allocation allocate(const std::vector<std::vector<StorageChoice>>& choices, i64 budget);

}  // namespace pare
