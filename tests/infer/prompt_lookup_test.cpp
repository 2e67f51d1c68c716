// A draft is what followed the last tokens the latest time that they stood somewhere before, and nothing
// else.
#include "infer/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace pare {
namespace {

using Ids = std::vector<i32>;

/// The definition, by a scan of the whole text.
Ids by_scan(const Ids& tokens, i64 most) {
  const i64 T = static_cast<i64>(tokens.size());
  for (i64 n = 4; n >= 2; --n)
    for (i64 at = T - n - 1; at >= 0; --at) {
      if (!std::equal(tokens.end() - n, tokens.end(), tokens.begin() + at)) continue;
      Ids text = tokens;
      for (i64 i = 0; i < most; ++i) text.push_back(text[static_cast<std::size_t>(at + n + i)]);
      return Ids(text.begin() + T, text.end());
    }
  return {};
}

TEST(PromptLookup, DraftsWhatFollowedTheLongestLatestRun) {
  const struct {
    Ids tokens;
    i64 most;
    Ids want;
  } cases[] = {
      {{1, 2, 3, 4, 1, 2}, 2, {3, 4}},
      {{1, 2, 3, 4, 1, 2}, 1, {3}},
      {{1, 2, 3, 9, 1, 2, 7, 9, 1, 2}, 1, {7}},                       // the latest
      {{5, 1, 2, 3, 9, 4, 1, 2, 7, 9, 5, 1, 2}, 1, {3}},              // the longer before the later
      {{6, 5, 1, 2, 3, 5, 1, 2, 8, 1, 2, 7, 6, 5, 1, 2}, 2, {3, 5}},  // four
      {{1, 2, 3, 4, 1, 2}, 7, {3, 4, 1, 2, 3, 4, 1}},                 // a copy goes on in itself
      {{7, 7, 7}, 4, {7, 7, 7, 7}},
      {{1, 2, 3, 2}, 3, {}},  // one token alone says nothing
      {{1, 2}, 3, {}},
      {{1}, 3, {}},
      {{1, 2, 3, 4, 1, 2}, 0, {}},
  };
  for (const auto& [tokens, most, want] : cases) {
    EXPECT_EQ(PromptLookup().draft(tokens, most), want);
    EXPECT_EQ(by_scan(tokens, most), want) << "the test's own definition";
  }
}

TEST(PromptLookup, AgreesWithAScanOfTheWholeTextHoweverItGrows) {
  i64 found = 0;
  for (u64 seed = 0; seed < 40; ++seed) {
    Rng rng(seed);
    PromptLookup lookup;
    Ids tokens;
    const i64 kinds = rng.between(2, 30);
    while (tokens.size() < 200) {
      for (i64 more = rng.between(1, 9); more > 0; --more)
        tokens.push_back(static_cast<i32>(rng.below(kinds)));
      const i64 most = rng.between(1, 9);
      const Ids want = by_scan(tokens, most);
      found += !want.empty();
      ASSERT_EQ(lookup.draft(tokens, most), want) << "seed " << seed << ", " << tokens.size() << " tokens";
      if (rng.below(3) == 0) {
        ASSERT_EQ(lookup.draft(tokens, most), want) << "asked again";
      }
    }
  }
  EXPECT_GT(found, 500);
}

TEST(PromptLookup, SaysHowMuchOfTheTextStoodThereBefore) {
  PromptLookup lookup;
  Ids tokens = {1, 2, 3, 4, 5, 6, 9, 2};
  const std::pair<i32, i64> cases[] = {{3, 2}, {4, 3}, {5, 4}, {6, 4}};
  for (const auto& [id, want] : cases) {
    tokens.push_back(id);
    EXPECT_EQ(lookup.draft(tokens, 1).size(), 1u);
    EXPECT_EQ(lookup.matched(), want);
  }
}

TEST(PromptLookup, NeverReadsBehindTheTokensItIsGiven) {
  const Ids whole = {1, 2, 3, 1, 2, 99, 99, 99};
  // What lies behind them in memory is the text's own future here.
  EXPECT_EQ(PromptLookup().draft(std::span(whole).first(5), 6), (Ids{3, 1, 2, 3, 1, 2}));
}

}  // namespace
}  // namespace pare
