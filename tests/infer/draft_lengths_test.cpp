// Lengths make the expected tokens per second most; nobody drafts when that does not pay.
#include "infer/draft_lengths.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace pare {
namespace {

i64 sum(const std::vector<i64>& v) { return std::accumulate(v.begin(), v.end(), i64{0}); }

TEST(DraftLengths, ExpectedTokensFollowTheFormulaAndAreWhatComes) {
  EXPECT_DOUBLE_EQ(expected_tokens(0, 5), 1);
  EXPECT_DOUBLE_EQ(expected_tokens(1, 5), 6);
  for (const double a : {0.1, 0.5, 0.8, 0.97})
    for (const i64 g : {0, 1, 3, 8}) {
      const double want = (1 - std::pow(a, static_cast<double>(g + 1))) / (1 - a);
      EXPECT_NEAR(expected_tokens(a, g), want, 1e-12);
      Rng rng(7);
      double tokens = 0;
      constexpr i64 kSteps = 40000;
      for (i64 s = 0; s < kSteps; ++s) {
        i64 fitted = 0;
        while (fitted < g && rng.uniform() < a) ++fitted;
        tokens += static_cast<double>(fitted + 1);
      }
      EXPECT_NEAR(tokens / kSteps, want, 0.02 * want) << a << " " << g;
    }
}

TEST(DraftLengths, AreThoseOfAnExhaustiveSearchForOneRequest) {
  i64 some = 0;
  Rng rng(3);
  for (int trial = 0; trial < 300; ++trial) {
    const double a = rng.uniform(), row_s = 0.3 * rng.uniform(), pass_s = 0.1 * rng.uniform();
    const i64 most = rng.between(1, 8);
    const auto seconds = [&](i64 drafted, i64 longest) {
      return 1 + row_s * static_cast<double>(drafted) + pass_s * static_cast<double>(longest);
    };
    i64 best = 0;
    double rate = kLeastGain;
    for (i64 g = 1; g <= most; ++g)
      if (const double r = expected_tokens(a, g) / seconds(g, g); r > rate) rate = r, best = g;
    const DraftWish wish{a, most};
    EXPECT_EQ(draft_lengths({&wish, 1}, 100, seconds), (std::vector<i64>{best}));
    some += best > 0;
  }
  EXPECT_GT(some, 50);
  EXPECT_LT(some, 290);
}

TEST(DraftLengths, TheLikeliestGetTheRowsAndTheBudgetHolds) {
  const std::vector<DraftWish> wishes = {{0.3, 8}, {0.9, 8}, {0.6, 2}, {0.9, 0}};
  const auto free = [](i64, i64) { return 1.0; };
  EXPECT_EQ(draft_lengths(wishes, 100, free), (std::vector<i64>{8, 8, 2, 0})) << "drafts that cost nothing";
  for (i64 budget = 0; budget < 20; ++budget)
    EXPECT_EQ(sum(draft_lengths(wishes, budget, free)), std::min<i64>(budget, 18)) << budget;
  // 0.9, 0.81, 0.729, 0.656, 0.6 of the third, 0.59, …
  EXPECT_EQ(draft_lengths(wishes, 4, free), (std::vector<i64>{0, 4, 0, 0}));
  EXPECT_EQ(draft_lengths(wishes, 5, free), (std::vector<i64>{0, 4, 1, 0}));
}

TEST(DraftLengths, NobodyDraftsWhenItDoesNotPayOrNothingIsKnown) {
  const std::vector<DraftWish> wishes = {{0.9, 8}, {0.99, 8}};
  const auto by_rows = [](i64 drafted, i64) { return static_cast<double>(2 + drafted); };
  EXPECT_EQ(sum(draft_lengths(wishes, 100, by_rows)), 0) << "a row costs what it is worth at best";
  EXPECT_EQ(sum(draft_lengths(wishes, 100, [](i64, i64) { return 0.0; })), 0);
  const std::vector<DraftWish> hopeless = {{0.0, 8}, {0.01, 8}};
  EXPECT_EQ(sum(draft_lengths(hopeless, 100, [](i64, i64) { return 1.0; })), 0) << "no gain to speak of";
  EXPECT_TRUE(draft_lengths({}, 100, by_rows).empty());
}

TEST(DraftLengths, LookBeyondAStepThatCostsMore) {
  // The first extra row costs much, the next seven nothing: tiles of rows.
  const DraftWish wish{0.9, 8};
  const auto tiles = [](i64 drafted, i64) { return drafted == 0 ? 1.0 : 2.0; };
  EXPECT_EQ(draft_lengths({&wish, 1}, 100, tiles), (std::vector<i64>{8}));
}

}  // namespace
}  // namespace pare
