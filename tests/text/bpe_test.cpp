// Byte-pair encoding against its definition: merge the best pair, look again.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>

#include "base/error.h"
#include "text/bpe_merge.h"

namespace pare {
namespace {

using Merges = std::map<std::pair<i32, i32>, PairTable::Value>;

std::vector<i32> merged_by_definition(const Merges& merges, std::vector<i32> ids) {
  for (;;) {
    i32 best = std::numeric_limits<i32>::max();
    std::size_t where = 0;
    i32 result = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = merges.find({ids[i], ids[i + 1]});
      if (found != merges.end() && found->second.rank < best) {
        best = found->second.rank;
        where = i;
        result = found->second.result;
      }
    }
    if (best == std::numeric_limits<i32>::max()) return ids;
    ids[where] = result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

TEST(MergePairs, EqualsTheDefinitionForFewAndManyIds) {
  std::mt19937 rng(3);
  for (int round = 0; round < 400; ++round) {
    Merges merges;
    PairTable table;
    const int count = static_cast<int>(rng() % 30) + 1;
    for (int i = 0; i < count; ++i) {
      const std::pair<i32, i32> pair(rng() % 8, rng() % 8);
      // Ranks repeat, as scores of SentencePiece do.
      const PairTable::Value value{static_cast<i32>(rng() % 20), static_cast<i32>(rng() % 8)};
      merges[pair] = value;
      table.set(pair.first, pair.second, value);
    }
    std::vector<i32> ids(rng() % 120);
    for (i32& id : ids) id = static_cast<i32>(rng() % 8);
    const std::vector<i32> expected = merged_by_definition(merges, ids);
    merge_pairs(table, ids);
    ASSERT_EQ(ids, expected) << "round " << round;
  }
}

/// A vocabulary of random words over few letters, with merges that make them.
struct RandomBpe {
  explicit RandomBpe(std::mt19937& rng, BpeOptions options, const std::vector<std::string>& letters) {
    Vocabulary vocabulary;
    std::map<std::string, i32> ids;
    const auto add = [&](const std::string& piece) {
      if (ids.emplace(piece, static_cast<i32>(vocabulary.size())).second)
        vocabulary.emplace_back(piece, static_cast<i64>(vocabulary.size()));
    };
    if (!options.unknown.empty()) add(options.unknown);
    for (const std::string& letter : letters) add(letter);
    std::vector<std::pair<std::string, std::string>> pairs;
    for (int i = 0; i < 25; ++i) {
      const std::string a = vocabulary[rng() % vocabulary.size()].first,
                        b = vocabulary[rng() % vocabulary.size()].first;
      if (a == options.unknown || b == options.unknown) continue;
      add(a + b);
      pairs.emplace_back(a, b);
    }
    model = std::make_unique<Bpe>(vocabulary, options, "test");
    for (i32 rank = 0; const auto& [a, b] : pairs) {
      model->add_merge(a, b, "test");
      merges[{ids[a], ids[b]}] = {rank++, ids[a + b]};
    }
  }
  std::unique_ptr<Bpe> model;
  Merges merges;
};

// Long texts are cut where no merge can reach across; that must not show.
TEST(Bpe, ALongTextEncodesAsByDefinition) {
  std::mt19937 rng(4);
  const std::vector<std::string> letters = {"a", "b", "\u2581", "é", "中", "."};
  for (int round = 0; round < 200; ++round) {
    const RandomBpe bpe(rng, {.unknown = "?", .fuse_unknown = round % 2 == 0}, letters);
    std::string text;
    std::vector<i32> start;
    for (std::size_t n = rng() % 200; n > 0; --n) {
      const std::size_t pick = rng() % (letters.size() + 1);
      const std::string letter = pick < letters.size() ? letters[pick] : "x";  // unknown
      text += letter;
      const i32 id = std::max(bpe.model->id(letter), 0);
      if (!(round % 2 == 0 && id == 0 && !start.empty() && start.back() == 0)) start.push_back(id);
    }
    std::vector<i32> ids;
    bpe.model->encode(text, ids);
    ASSERT_EQ(ids, merged_by_definition(bpe.merges, start)) << text;
  }
}

TEST(Bpe, FallsBackToBytesOnlyWhenAllAreThere) {
  const Vocabulary vocabulary = {{"?", 0}, {"a", 1}, {"<0xC3>", 2}, {"<0xA9>", 3}};
  const Bpe bpe(vocabulary, {.unknown = "?", .byte_fallback = true}, "test");
  std::vector<i32> ids;
  bpe.encode("a\u00e9\u00e8a", ids);
  EXPECT_EQ(ids, (std::vector<i32>{1, 2, 3, 0, 1}));
}

TEST(Bpe, MergesByScoreTakeTheHighestFirst) {
  const Vocabulary vocabulary = {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}, {"abc", 5}};
  Bpe low(vocabulary, {}, "test"), high(vocabulary, {}, "test");
  std::vector<bool> all(6, true);
  low.add_merges_by_score({-9, -9, -9, -3, -2, -5}, all);
  all[5] = false;
  high.add_merges_by_score({-9, -9, -9, -1, -2, -5}, all);
  std::vector<i32> ids;
  low.encode("abc", ids);
  EXPECT_EQ(ids, (std::vector<i32>{5})) << "bc first, then a + bc";
  ids.clear();
  high.encode("abc", ids);
  EXPECT_EQ(ids, (std::vector<i32>{3, 2})) << "abc may not be made";
}

TEST(Bpe, IgnoresMergesForWholePieces) {
  const Vocabulary vocabulary = {{"a", 0}, {"b", 1}, {"ab", 2}};
  const Bpe ignores(vocabulary, {.ignore_merges = true}, "test"), follows(vocabulary, {}, "test");
  std::vector<i32> ids;
  ignores.encode("ab", ids);
  EXPECT_EQ(ids, (std::vector<i32>{2}));
  follows.encode("ab", ids);
  EXPECT_EQ(ids, (std::vector<i32>{2, 0, 1}));
}

}  // namespace
}  // namespace pare
