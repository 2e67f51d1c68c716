// The allocation is the best there is, by trying all; it spends its budget and never more.
#include "compress/allocation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "refusal.h"

namespace pare {
namespace {

using Choices = std::vector<std::vector<StorageChoice>>;

double best_by_trying(const Choices& choices, i64 budget, std::size_t i = 0) {
  if (i == choices.size()) return 0;
  double best = INFINITY;
  for (const StorageChoice& c : choices[i])
    if (c.bytes <= budget) best = std::min(best, c.loss + best_by_trying(choices, budget - c.bytes, i + 1));
  return best;
}

Choices random_choices(u64 seed, std::size_t weights, i64 unit) {
  Rng rng(seed);
  Choices out;
  for (std::size_t i = 0; i < weights; ++i) {
    const auto size = static_cast<i64>(1 + rng.below(20));
    auto& list = out.emplace_back();
    double loss = static_cast<double>(1 + rng.below(1000));
    for (const i64 bits : {2, 3, 4, 8}) {
      list.push_back({size * bits * unit, loss});
      loss /= static_cast<double>(2 + rng.below(6));
    }
  }
  return out;
}

TEST(Allocation, is_the_best_of_all) {
  for (u64 seed = 0; seed < 30; ++seed) {
    const Choices choices = random_choices(seed, 7, seed % 2 ? 1 : 96);
    i64 least = 0, most = 0;
    for (const auto& list : choices) least += list.front().bytes, most += list.back().bytes;
    for (const double share : {0.0, 0.2, 0.5, 1.0}) {
      const i64 budget = least + static_cast<i64>(share * static_cast<double>(most - least));
      const Allocation a = allocate(choices, budget);
      EXPECT_LE(a.bytes, budget);
      EXPECT_NEAR(a.loss, best_by_trying(choices, budget), 1e-9 * (1 + a.loss));
    }
  }
}

TEST(Allocation, spends_the_budget_of_a_large_model_within_half_a_percent) {
  Choices choices = random_choices(1, 200, 1);
  Rng rng(2);
  for (auto& list : choices) {
    const auto odd = static_cast<i64>(100000 + rng.below(99991));  // no common divisor
    for (StorageChoice& c : list) c.bytes *= odd;
  }
  i64 least = 0, most = 0;
  for (const auto& list : choices) least += list.front().bytes, most += list.back().bytes;
  const i64 budget = (least + most) / 2;
  const Allocation a = allocate(choices, budget);
  EXPECT_LE(a.bytes, budget);
  EXPECT_GE(static_cast<double>(a.bytes), 0.995 * static_cast<double>(budget));
}

TEST(Allocation, says_what_the_smallest_budget_is) {
  const Choices choices = {{{100, 1}, {200, 0}}, {{50, 1}, {70, 0}}};
  EXPECT_EQ(allocate(choices, 150).bytes, 150);
  EXPECT_NE(refusal([&] { allocate(choices, 149); }).find("150"), std::string::npos);
}

}  // namespace
}  // namespace pare
