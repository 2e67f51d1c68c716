#include "text/split_words.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/json.h"
#include "base/regex.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

std::vector<std::string> split(const std::string& text, WordPattern pattern = WordPattern::gpt2) {
  std::vector<std::string> out;
  split_words(pattern, text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

std::string join(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& p : pieces) all += p;
  return all;
}

TEST(SplitWords, KeepsWordsWithTheirSpace) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split("Hello  world's 12a!? \n x  "),
            (Pieces{"Hello", " ", " world", "'s", " 12", "a", "!?", " \n", " x", "  "}));
  EXPECT_EQ(split("'llama 'S ''t"), (Pieces{"'ll", "ama", " '", "S", " ''", "t"}));
  EXPECT_EQ(split("\n\tx"), (Pieces{"\n", "\t", "x"}));
  EXPECT_EQ(split(" "), (Pieces{" "}));
  EXPECT_EQ(split(""), Pieces{});
}

constexpr const char* kGpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
constexpr const char* kQwen2 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* kLlama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

TEST(SplitWords, KnowsThePatternsAsTheFilesSpellThem) {
  EXPECT_EQ(known_pattern(kGpt2), WordPattern::gpt2);
  EXPECT_EQ(known_pattern(kQwen2), WordPattern::qwen2);
  EXPECT_EQ(known_pattern(kLlama3), WordPattern::llama3);
  EXPECT_EQ(known_pattern("\\s+"), std::nullopt);
}

// The slow engine is the standard wherever its Unicode is the same: ASCII and old letters.
TEST(SplitWords, EqualsTheRegularExpressionOnRandomText) {
  const std::vector<std::string> letters = {
      "a",  "s", "S", "t", "l", "L",  "r", "e", "'",      "'",      " ",      " ", "\n",     "\r",
      "\t", "1", "2", "²", "é", "中", "!", ".", "\u00a0", "\u3000", "\u0301", "😀", "\u017F", "\u2028"};
  for (const char* spelled : {kGpt2, kQwen2, kLlama3}) {
    const Regex pattern(spelled, {.unicode_classes = true});
    std::mt19937 rng(5);
    for (int round = 0; round < 20000; ++round) {
      std::string text;
      for (std::size_t n = rng() % 14; n > 0; --n) text += letters[rng() % letters.size()];
      std::vector<std::string> expected;
      for (const RegexMatch& m : pattern.find_all(text))
        expected.push_back(text.substr(m.begin, m.end - m.begin));
      ASSERT_EQ(split(text, *known_pattern(spelled)), expected) << json(text).dump() << spelled;
    }
  }
}

TEST(SplitWords, LosesNoByteOfBrokenText) {
  std::mt19937 rng(6);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::size_t n = rng() % 20; n > 0; --n) text += static_cast<char>(rng());
    for (const WordPattern p : {WordPattern::gpt2, WordPattern::qwen2, WordPattern::llama3})
      ASSERT_EQ(join(split(text, p)), text);
  }
}

TEST(UnicodeClasses, AreThoseOfTheReference) {
  std::ifstream in(std::string(PARE_SHARED) + "/fixtures/tokenizers/unicode_classes.json");
  if (!in) GTEST_SKIP() << "the folder of shared fixtures is not here";
  const json classes = json::parse(in);
  const auto check = [&](const char* key, bool (*is)(u32)) {
    u32 next = 0;
    for (const json& range : classes[key]) {
      for (; next < range[0].get<u32>(); ++next) ASSERT_FALSE(is(next)) << key << " " << next;
      for (; next <= range[1].get<u32>(); ++next) ASSERT_TRUE(is(next)) << key << " " << next;
    }
    for (; next <= 0x10FFFF; ++next) ASSERT_FALSE(is(next)) << key << " " << next;
  };
  check("L", is_letter);
  check("N", is_number);
  check("s", is_unicode_space);
}

TEST(UnicodeClasses, CharactersAreReadFromBothEnds) {
  const std::string text = "aé中😀\xff";
  std::vector<u32> forward, backward;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at).bytes)
    forward.push_back(character_at(text, at).code_point);
  for (std::size_t end = text.size(); end > 0; end -= character_before(text, end).bytes)
    backward.insert(backward.begin(), character_before(text, end).code_point);
  EXPECT_EQ(forward, (std::vector<u32>{'a', 0xE9, 0x4E2D, 0x1F600, kBrokenByte}));
  EXPECT_EQ(backward, forward);
}

}  // namespace
}  // namespace pare
