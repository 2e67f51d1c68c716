#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "text/sums.h"
#include "text/tokenizer.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const Tokenizer> load(const json& tokenizer) {
  const fs::path dir = fs::path(testing::TempDir()) /
                       (std::string("pare_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::create_directories(dir);
  write_file_atomic(dir / "tokenizer.json", tokenizer.dump());
  auto t = Tokenizer::load(dir);
  fs::remove_all(dir);
  return t;
}

std::vector<std::string> sums_texts(i64 n) {
  std::vector<std::string> texts;
  for (const Problem& p : make_sums(n, 1, Split::train)) texts.push_back(p.question + "\n" + p.answer);
  return texts;
}

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // "ab" 5 times, "bc" 4 times, "abc" 3 of them.
  const json t =
      train_bpe({"abc abc abc ab ab bc"}, {.vocab_size = 261, .special = {"<s>"}, .add_bos = false});
  ASSERT_EQ(t["model"]["merges"].size(), 3u) << "pairs that occur once are left alone";
  // Pairs with counts: (a,b) 5, then (Ġ,ab) 4, then (Ġab,c) 2 against (ab,c) 1.
  EXPECT_EQ(t["model"]["merges"][0], (json{"a", "b"}));
  EXPECT_EQ(t["model"]["merges"][1], (json{"Ġ", "ab"}));
  EXPECT_EQ(t["model"]["merges"][2], (json{"Ġab", "c"}));
}

/// The definition itself: count all pairs anew before every merge.
std::vector<json> slow_merges(const std::vector<std::string>& words, std::size_t n) {
  std::vector<std::vector<std::string>> split;
  std::map<std::string, std::size_t> ids;  // by order of birth
  for (int b = 0; b < 128; ++b) ids[std::string(1, static_cast<char>(b))] = static_cast<std::size_t>(b);
  for (const std::string& w : words) {
    split.emplace_back();
    for (const char c : w) split.back().emplace_back(1, c);
  }
  std::vector<json> merges;
  while (merges.size() < n) {
    std::map<std::pair<std::size_t, std::size_t>, std::pair<i64, json>> counts;
    for (const auto& w : split) {
      for (std::size_t i = 0; i + 1 < w.size(); ++i) {
        auto& c = counts[{ids[w[i]], ids[w[i + 1]]}];
        ++c.first;
        c.second = json{w[i], w[i + 1]};
      }
    }
    const std::pair<i64, json>* best = nullptr;
    for (const auto& [pair, c] : counts) {
      if (!best || c.first > best->first) best = &c;
    }
    if (!best || best->first < 2) break;
    const json merge = best->second;
    merges.push_back(merge);
    const std::string joined = merge[0].get<std::string>() + merge[1].get<std::string>();
    ids.emplace(joined, 128 + merges.size());
    for (auto& w : split) {
      for (std::size_t i = 0; i + 1 < w.size(); ++i) {
        if (w[i] != merge[0] || w[i + 1] != merge[1]) continue;
        w[i] = joined;
        w.erase(w.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(BpeTrainer, EqualsCountingAllPairsAnewBeforeEveryMerge) {
  std::mt19937 rng(3);
  for (int round = 0; round < 30; ++round) {
    std::vector<std::string> words;
    for (int w = 0; w < 60; ++w) {
      words.emplace_back();
      for (std::size_t n = 1 + rng() % 9; n > 0; --n) words.back() += static_cast<char>('a' + rng() % 3);
    }
    const json t = train_bpe(words, {.vocab_size = 256 + 40, .special = {}, .add_bos = false});
    const std::vector<json> expected = slow_merges(words, t["model"]["merges"].size());
    ASSERT_EQ(t["model"]["merges"].get<std::vector<json>>(), expected);
  }
}

TEST(BpeTrainer, BringsBackAnyBytesOfValidTextAndEveryByteHasAnId) {
  const auto t = load(train_bpe(sums_texts(500), {}));
  EXPECT_EQ(t->vocab_size(), 512);
  for (const std::string text :
       {"Anna has 12+30=<<12+30=42>>42 shells.\n#### 42", "  \t\n é中😀 \u180e \u0301", "'s 'S  ", ""}) {
    EXPECT_EQ(t->decode(t->encode(text)), text);
  }
  for (int b = 0; b < 256; ++b) {
    const std::string byte(1, static_cast<char>(b));
    EXPECT_EQ(t->encode(byte).size(), 1u) << b;
  }
  // Broken UTF-8 keeps its bytes too: every byte's character comes back.
  std::mt19937 rng(4);
  for (int round = 0; round < 1000; ++round) {
    std::string text, bytes;
    for (std::size_t n = rng() % 30; n > 0; --n) text += static_cast<char>(rng());
    i64 characters = 0;
    for (const i32 id : t->encode(text)) {
      for (const char c : t->token_text(id)) characters += (static_cast<u8>(c) & 0xC0) != 0x80;
    }
    ASSERT_EQ(characters, static_cast<i64>(text.size()));
  }
}

TEST(BpeTrainer, DigitsStandAloneAndTheFirstSpecialTokenLeads) {
  const auto t = load(train_bpe(sums_texts(500), {}));
  EXPECT_EQ(t->encode("4096").size(), 4u);
  EXPECT_EQ(t->encode("x<|eos|>", {.add_special = true}), (std::vector<i32>{0, *t->id_of("x"), 1}));
  EXPECT_EQ(t->id_of("<|pad|>"), 2);
  const json grouped = train_bpe({"12 12 12 12"}, {.vocab_size = 260, .digits_apart = false});
  EXPECT_EQ(grouped["model"]["merges"][0], (json{"1", "2"}));
}

TEST(BpeTrainer, TheSameTextGivesTheSameBytes) {
  EXPECT_EQ(train_bpe(sums_texts(300), {}).dump(), train_bpe(sums_texts(300), {}).dump());
}

TEST(BpeTrainer, TextThatSpellsASpecialTokenDoesNotBecomeIt) {
  std::vector<std::string> texts(50, "<<>><<>>");
  const json t = train_bpe(texts, {.vocab_size = 300, .special = {"<<>>"}, .add_bos = false});
  for (const json& m : t["model"]["merges"]) {
    EXPECT_NE(m[0].get<std::string>() + m[1].get<std::string>(), "<<>>") << m;
  }
  load(t);
}

TEST(BpeTrainer, RefusesWhatCannotBe) {
  EXPECT_THROW(train_bpe({"a"}, {.vocab_size = 258}), Error);
  EXPECT_THROW(train_bpe({"a"}, {.special = {"<s>", "<s>"}}), Error);
  EXPECT_THROW(train_bpe({"a"}, {.special = {""}}), Error);
  EXPECT_THROW(train_bpe({"a"}, {.special = {"a"}}), Error);
  EXPECT_EQ(load(train_bpe({}, {}))->vocab_size(), 259);
}

// What the shipped model relies on: a problem and its answer fit a short context.
TEST(BpeTrainer, AProblemTakesAboutAHundredTokens) {
  const auto t = load(train_bpe(sums_texts(3000), {}));
  i64 tokens = 0, most = 0;
  for (const std::string& text : sums_texts(1000)) {
    const i64 n = static_cast<i64>(t->encode(text).size());
    tokens += n;
    most = std::max(most, n);
  }
  RecordProperty("mean_tokens", std::to_string(static_cast<double>(tokens) / 1000));
  EXPECT_LT(tokens / 1000, 90);
  EXPECT_LT(most, 200);
}

}  // namespace
}  // namespace pare
