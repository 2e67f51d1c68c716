#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const char* component, const std::string& text, bool first = true) {
  Pieces out;
  const PreTokenizers steps = make_pre_tokenizers(json::parse(component), "test", false);
  steps.split({text, first}, [&](const TextPiece& p) { out.emplace_back(p.text); });
  return out;
}

TEST(PreTokenizer, MetaspacePrependsAsItsSchemeSays) {
  const char* first =
      R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true})";
  EXPECT_EQ(split(first, "Hey you"), (Pieces{"▁Hey", "▁you"}));
  EXPECT_EQ(split(first, "Hey  you", false), (Pieces{"Hey", "▁", "▁you"}));
  EXPECT_EQ(split(first, " Hey"), (Pieces{"▁Hey"}));
  EXPECT_EQ(split(first, "▁Hey"), (Pieces{"▁Hey"}));
  const char* always = R"({"type": "Metaspace", "prepend_scheme": "always", "split": false})";
  EXPECT_EQ(split(always, "a b", false), (Pieces{"▁a▁b"}));
  const char* never = R"({"type": "Metaspace", "add_prefix_space": false})";
  EXPECT_EQ(split(never, "a b"), (Pieces{"a", "▁b"}));
}

TEST(PreTokenizer, OnlyThePieceAtTheStartIsFirst) {
  const char* both = R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "-"},
      "behavior": "Removed", "invert": false}, {"type": "Metaspace", "prepend_scheme": "first", "split": false}]})";
  EXPECT_EQ(split(both, "a-b-c"), (Pieces{"▁a", "b", "c"}));
  EXPECT_EQ(split(both, "-b-c"), (Pieces{"b", "c"})) << "b stands behind the start";
}

TEST(PreTokenizer, CutsDigitsSpacesAndPunctuation) {
  EXPECT_EQ(split(R"({"type": "Digits", "individual_digits": true})", "a12b"), (Pieces{"a", "1", "2", "b"}));
  EXPECT_EQ(split(R"({"type": "Digits"})", "a12b"), (Pieces{"a", "12", "b"}));
  EXPECT_EQ(split(R"({"type": "Whitespace"})", "Hi, you_2  ."), (Pieces{"Hi", ",", "you_2", "."}));
  EXPECT_EQ(split(R"({"type": "WhitespaceSplit"})", " Hi,\u3000you "), (Pieces{"Hi,", "you"}));
  EXPECT_EQ(split(R"({"type": "Punctuation"})", "a$b—c"), (Pieces{"a", "$", "b", "—", "c"}));
}

TEST(PreTokenizer, ByteLevelLeavesBytesToAModelThatKnowsThem) {
  const json last = json::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"},
      {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}]})");
  const auto pieces = [&](bool byte_model) {
    Pieces out;
    const PreTokenizers steps = make_pre_tokenizers(last, "test", byte_model);
    EXPECT_EQ(steps.plain_bytes, byte_model);
    steps.split({"é1 x", true}, [&](const TextPiece& p) { out.emplace_back(p.text); });
    return out;
  };
  EXPECT_EQ(pieces(false), (Pieces{"ĠÃ©", "Ġ1", "Ġx"}));
  EXPECT_EQ(pieces(true), (Pieces{" é", " 1", " x"}));
  const json not_last =
      json::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})");
  EXPECT_FALSE(make_pre_tokenizers(not_last, "test", true).plain_bytes);
}

}  // namespace
}  // namespace pare
