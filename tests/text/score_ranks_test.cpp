// Merges by rank give the ids that merges by score give.
#include "text/score_ranks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace pare {
namespace {

struct Scored {
  Vocabulary tokens;
  std::vector<float> scores;

  void add(const std::string& token, float score) {
    tokens.emplace_back(token, static_cast<i64>(tokens.size()));
    scores.push_back(score);
  }
  bool has(const std::string& token) const {
    return std::any_of(tokens.begin(), tokens.end(), [&](const auto& t) { return t.first == token; });
  }
  RankedMerges ranked() const { return merges_by_rank(tokens, scores, all()); }
  std::vector<bool> all() const { return std::vector<bool>(tokens.size(), true); }
};

/// Both ways to merge one vocabulary.
struct BothWays {
  explicit BothWays(const Scored& v) : by_score(v.tokens, {}, "score"), by_rank(v.tokens, {}, "rank") {
    by_score.add_merges_by_score(v.scores, v.all());
    for (const auto& [left, right] : v.ranked().merges) by_rank.add_merge(left, right, "rank");
  }
  std::vector<i32> scored(const std::string& text) const { return encoded(by_score, text); }
  std::vector<i32> ranked(const std::string& text) const { return encoded(by_rank, text); }

 private:
  static std::vector<i32> encoded(const Bpe& model, const std::string& text) {
    std::vector<i32> ids;
    model.encode(text, ids);
    return ids;
  }
  Bpe by_score, by_rank;
};

std::string random_text(std::mt19937& rng, int letters, std::size_t most) {
  std::string text;
  for (std::size_t n = 1 + rng() % most; n > 0; --n)
    text += static_cast<char>('a' + static_cast<int>(rng() % static_cast<unsigned>(letters)));
  return text;
}

/// Letters, and tokens that are two earlier ones put together: as in training, or with scores in any order.
Scored random_vocabulary(std::mt19937& rng, int letters, bool trained) {
  Scored v;
  for (int i = 0; i < letters; ++i) v.add(std::string(1, static_cast<char>('a' + i)), 0);
  std::vector<float> scores;
  for (int i = 1; i <= 16; ++i) scores.push_back(static_cast<float>(-i));
  if (!trained) std::shuffle(scores.begin(), scores.end(), rng);
  for (const float score : scores) {
    const std::string token =
        v.tokens[rng() % v.tokens.size()].first + v.tokens[rng() % v.tokens.size()].first;
    if (token.size() <= 10 && !v.has(token)) v.add(token, score);
  }
  return v;
}

TEST(ScoreRanks, DistinctScoresGiveTheSameIds) {
  std::mt19937 rng(7);
  i64 splits = 0, tokens = 0;
  for (int round = 0; round < 400; ++round) {
    const int letters = 1 + round % 3;
    const Scored v = random_vocabulary(rng, letters, round % 2 == 0);
    EXPECT_EQ(v.ranked().tied, 0);
    splits += static_cast<i64>(v.ranked().merges.size());
    tokens += static_cast<i64>(v.tokens.size()) - letters;
    const BothWays both(v);
    for (int i = 0; i < 100; ++i) {
      const std::string text = random_text(rng, letters, 60);
      ASSERT_EQ(both.ranked(text), both.scored(text)) << text;
    }
  }
  EXPECT_GT(splits, tokens + tokens / 2) << "tokens with several splits are what is looked for";
}

TEST(ScoreRanks, TheOrderIsThatOfScoresThenOfLeftParts) {
  Scored v;
  for (const char* letter : {"a", "b"}) v.add(letter, 0);
  v.add("ab", -2);
  v.add("aba", -3);
  v.add("ba", -1);
  v.add("zz", -1);  // of no tokens
  using Merges = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(v.ranked().merges, (Merges{{"b", "a"}, {"a", "b"}, {"ab", "a"}, {"a", "ba"}}));
  const RankedMerges some = merges_by_rank(v.tokens, v.scores, {true, true, true, false, true, true});
  EXPECT_EQ(some.merges, (Merges{{"b", "a"}, {"a", "b"}})) << "only tokens that may be merged";
}

TEST(ScoreRanks, RunsOfOneScoreGrowFromTheLeft) {
  Scored v;
  v.add("a", 0);
  v.add("▁", 0);
  std::string run = "▁";
  for (int n = 2; n <= 7; ++n) v.add(run += "▁", -9);
  v.add("a▁", -3);
  v.add("▁a", -2);
  EXPECT_EQ(v.ranked().tied, 0);
  const BothWays both(v);
  std::mt19937 rng(8);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (std::size_t n = 1 + rng() % 30; n > 0; --n) text += rng() % 5 ? "▁" : "a";
    ASSERT_EQ(both.ranked(text), both.scored(text)) << text;
  }
}

TEST(ScoreRanks, OtherTokensOfOneScoreAreCounted) {
  Scored v;
  for (const char* letter : {"a", "b", "c"}) v.add(letter, 0);
  v.add("ab", -1);
  v.add("bc", -1);
  v.add("ca", -2);
  v.add("xy", -2);  // of no tokens: it competes for nothing
  EXPECT_EQ(v.ranked().tied, 2);
  Scored gap;  // a run that cannot grow one by one
  gap.add("a", 0);
  gap.add("aa", -1);
  gap.add("aaaa", -1);
  EXPECT_EQ(gap.ranked().tied, 2);
  EXPECT_TRUE(merges_by_rank({}, {}, {}).merges.empty());
}

}  // namespace
}  // namespace pare
