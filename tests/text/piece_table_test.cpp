#include "text/piece_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "text/word_cache.h"

namespace pare {
namespace {

std::string random_piece(std::mt19937& rng) {
  std::string s;
  for (std::size_t n = rng() % 12; n > 0; --n) s += static_cast<char>('a' + rng() % 3);
  return s;
}

TEST(PieceTable, EqualsAMap) {
  std::mt19937 rng(1);
  PieceTable table;
  std::map<std::string, i32> map;
  for (i32 i = 0; i < 20000; ++i) {
    const std::string piece = random_piece(rng);
    ASSERT_EQ(table.add(piece, i), map.emplace(piece, i).second);
  }
  EXPECT_EQ(table.size(), map.size());
  for (int i = 0; i < 20000; ++i) {
    const std::string piece = random_piece(rng);
    const auto found = map.find(piece);
    ASSERT_EQ(table.find(piece), found == map.end() ? -1 : found->second) << piece;
  }
}

TEST(PairTable, EqualsAMap) {
  std::mt19937 rng(2);
  PairTable table;
  std::map<std::pair<i32, i32>, i32> map;
  for (i32 i = 0; i < 20000; ++i) {
    const i32 a = static_cast<i32>(rng() % 200), b = static_cast<i32>(rng() % 200);
    table.set(a, b, {i, i + 1});
    map[{a, b}] = i;
  }
  EXPECT_EQ(table.size(), map.size());
  for (i32 a = 0; a < 210; ++a)
    for (i32 b = 0; b < 210; ++b) {
      const auto found = map.find({a, b});
      ASSERT_EQ(table.find(a, b).rank, found == map.end() ? -1 : found->second);
      ASSERT_EQ(table.find(a, b).result, found == map.end() ? -1 : found->second + 1);
    }
}

TEST(HashText, TellsTextsOfEveryLengthApart) {
  std::map<u64, std::string> seen;
  for (std::size_t n = 0; n < 40; ++n)
    for (std::size_t at = 0; at < std::max<std::size_t>(n, 1); ++at) {
      std::string text(n, 'x');
      if (n > 0) text[at] = 'y';
      EXPECT_TRUE(seen.emplace(hash_text(text), text).second) << text << " " << seen[hash_text(text)];
    }
}

TEST(WordCache, KeepsWhatFitsAndOnlyThat) {
  WordCache cache;
  const std::vector<i32> ids = {7, 8, 9};
  std::vector<i32> out = {1};
  EXPECT_FALSE(cache.find(hash_text("word"), "word", out));
  cache.add(hash_text("word"), "word", ids.data(), ids.size());
  cache.add(hash_text("empty"), "empty", ids.data(), 0);
  EXPECT_TRUE(cache.find(hash_text("word"), "word", out));
  EXPECT_EQ(out, (std::vector<i32>{1, 7, 8, 9}));
  EXPECT_TRUE(cache.find(hash_text("empty"), "empty", out));
  EXPECT_EQ(out.size(), 4u);
  EXPECT_FALSE(cache.find(hash_text("word"), "wore", out)) << "the hash alone is not enough";
  const std::string longest(WordCache::kLongest, 'x'), longer = longest + "x";
  for (const std::string& text : {longest, longer}) cache.add(hash_text(text), text, ids.data(), 1);
  EXPECT_TRUE(cache.find(hash_text(longest), longest, out));
  EXPECT_FALSE(cache.find(hash_text(longer), longer, out));
}

TEST(WordCache, ManyThreadsSeeWholeEntriesOnly) {
  WordCache cache;
  const auto work = [&](unsigned seed) {
    std::mt19937 rng(seed);
    for (int i = 0; i < 50000; ++i) {
      const i32 n = static_cast<i32>(rng() % 100000);
      const std::string word = "w" + std::to_string(n);
      const std::vector<i32> ids(static_cast<std::size_t>(n % 8 + 1), n);
      std::vector<i32> out;
      if (cache.find(hash_text(word), word, out))
        ASSERT_EQ(out, ids);
      else
        cache.add(hash_text(word), word, ids.data(), ids.size());
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) threads.emplace_back(work, t);
}

}  // namespace
}  // namespace pare
