#include "text/unigram.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <random>

#include "base/error.h"

namespace pare {
namespace {

using Pieces = std::vector<std::pair<std::string, double>>;

/// The best score of all splits of `text`; every unknown character costs `unknown`.
double best_score(const Pieces& pieces, const std::string& text, double unknown) {
  std::function<double(std::size_t)> from = [&](std::size_t at) {
    if (at == text.size()) return 0.0;
    double best = -std::numeric_limits<double>::infinity();
    bool single = false;
    for (const auto& [piece, score] : pieces) {
      if (piece.empty() || text.compare(at, piece.size(), piece) != 0) continue;
      single |= piece.size() == 1;
      best = std::max(best, score + from(at + piece.size()));
    }
    return single ? best : std::max(best, unknown + from(at + 1));
  };
  return from(0);
}

TEST(Unigram, FindsTheBestOfAllSplits) {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    Pieces pieces = {{"<unk>", 0}};
    std::map<std::string, bool> there;
    double least = 0;
    for (int i = 0; i < 12; ++i) {
      std::string piece;
      for (std::size_t n = rng() % 3 + 1; n > 0; --n) piece += static_cast<char>('a' + rng() % 3);
      if (!there.emplace(piece, true).second) continue;
      pieces.emplace_back(piece, -static_cast<double>(rng() % 1000) / 100);
      least = std::min(least, pieces.back().second);
    }
    const Unigram model(pieces, 0, false, "test");
    std::string text;
    for (std::size_t n = rng() % 10; n > 0; --n) text += static_cast<char>('a' + rng() % 4);
    std::vector<i32> ids;
    model.encode(text, ids);
    double score = 0;
    std::size_t covered = 0;
    bool unknown = false;
    for (const i32 id : ids) {
      unknown |= id == 0;
      score += pieces[static_cast<std::size_t>(id)].second;
      covered += id == 0 ? 0 : pieces[static_cast<std::size_t>(id)].first.size();
    }
    // A run of unknown characters is one token, so only their number is known.
    score += static_cast<double>(text.size() - covered) * (least - 10);
    if (!unknown) ASSERT_EQ(covered, text.size());
    ASSERT_NEAR(score, best_score(pieces, text, least - 10), 1e-9) << text;
  }
}

TEST(Unigram, UnknownRunsAreOneTokenOrTheirBytes) {
  Pieces pieces = {{"<unk>", 0}, {"a", -1}};
  std::vector<i32> ids;
  Unigram(pieces, 0, false, "test").encode("xya\u00e9", ids);
  EXPECT_EQ(ids, (std::vector<i32>{0, 1, 0}));
  for (const char* byte : {"<0xC3>", "<0xA9>"}) pieces.emplace_back(byte, -20);
  ids.clear();
  Unigram(pieces, 0, true, "test").encode("a\u00e9x", ids);
  EXPECT_EQ(ids, (std::vector<i32>{1, 0})) << "x has no byte piece, and one run is one decision";
  ids.clear();
  Unigram(pieces, 0, true, "test").encode("a\u00e9a", ids);
  EXPECT_EQ(ids, (std::vector<i32>{1, 2, 3, 1}));
}

TEST(Unigram, RefusesBrokenVocabularies) {
  EXPECT_THROW(Unigram({{"a", 0}, {"a", 1}}, 0, false, "test"), Error);
  EXPECT_THROW(Unigram({{"a", 0}}, 1, false, "test"), Error);
  EXPECT_THROW(Unigram({{"a", -std::numeric_limits<double>::infinity()}}, 0, false, "test"), Error);
  std::vector<i32> ids;
  EXPECT_THROW(Unigram({{"a", 0}}, std::nullopt, false, "test").encode("b", ids), Error);
}

}  // namespace
}  // namespace pare
