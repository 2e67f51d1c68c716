#include "text/token_bytes.h"

#include <gtest/gtest.h>

#include "text/bytes.h"

namespace pare {
namespace {

/// The bytes of all tokens of a text, behind each other.
std::string all_bytes(const Tokenizer& tokenizer, const std::string& text) {
  const TokenBytes bytes(tokenizer);
  std::string out;
  for (const i32 id : tokenizer.encode(text)) out += bytes.of(id);
  return out;
}

const std::string kText = "Caf\u00e9 costs 3 \u20ac,\n  and a \U0001F600!";

TEST(TokenBytes, TokensOfATextAreItsBytesThoughCharactersAreInParts) {
  const auto tokenizer = Tokenizer::load(std::filesystem::path(PARE_SOURCE) / "models/sums-3m");
  EXPECT_EQ(all_bytes(*tokenizer, kText), kText);
  const TokenBytes bytes(*tokenizer);
  bool in_parts = false;
  for (const i32 id : tokenizer->encode("\u20ac"))
    in_parts |= first_broken_utf8(bytes.of(id)) != bytes.of(id).size();
  EXPECT_TRUE(in_parts) << "this text was to show parts of a character";
  EXPECT_EQ(bytes.of(1), "<|eos|>");
  EXPECT_EQ(bytes.of(100000), "");
}

TEST(TokenBytes, SentencePieceBytesAndSpacesAreWhatTheyStandFor) {
  const auto folder = std::filesystem::path(PARE_SHARED) / "fixtures/models/stories260K-hf";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here";
  const auto tokenizer = Tokenizer::load(folder);
  // A space is put in front of a text.
  EXPECT_EQ(all_bytes(*tokenizer, kText), " " + kText);
  const auto newline = tokenizer->id_of("<0x0A>");
  ASSERT_TRUE(newline);
  EXPECT_EQ(TokenBytes(*tokenizer).of(*newline), "\n");
}

}  // namespace
}  // namespace pare
