#include "text/split_pattern.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const SplitPattern& pattern, const std::string& text) {
  Pieces out;
  pattern.split(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

TEST(SplitPattern, BehavesAsTheReferenceDocuments) {
  // "the-final--countdown" split at "-": the example of the tokenizers library.
  const auto at = [](SplitBehavior behavior, bool inverted = false) {
    return split(SplitPattern("-", false, behavior, inverted), "the-final--countdown");
  };
  EXPECT_EQ(at(SplitBehavior::removed), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(at(SplitBehavior::isolated), (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(at(SplitBehavior::merged_with_previous), (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(at(SplitBehavior::merged_with_next), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(at(SplitBehavior::contiguous), (Pieces{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(at(SplitBehavior::removed, true), (Pieces{"-", "-", "-"}));
}

TEST(SplitPattern, TakesRegularExpressions) {
  const SplitPattern numbers("\\p{N}{1,3}(?=(?:\\p{N}{3})*\\b)", true, SplitBehavior::isolated, false);
  EXPECT_EQ(split(numbers, "in 1234567 days"), (Pieces{"in ", "1", "234", "567", " days"}));
  EXPECT_EQ(split(numbers, ""), Pieces{});
  EXPECT_THROW(SplitPattern("(", true, SplitBehavior::isolated, false), Error);
}

TEST(SplitPattern, AKnownPatternEqualsTheSameOneSpelledDifferently) {
  const std::string known =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
      "\\s+(?!\\S)|\\s+";
  ASSERT_TRUE(known_pattern(known));
  const std::string other = "(?:" + known + ")";
  ASSERT_FALSE(known_pattern(other));
  const std::string text = "Don't  stop: 12 \u4e2d\u6587!\r\n\r\n  \u180e x\u00a0y\t'LLama\u1cfa \u0660 ";
  for (const SplitBehavior behavior : {SplitBehavior::isolated, SplitBehavior::removed})
    EXPECT_EQ(split({known, true, behavior, behavior == SplitBehavior::removed}, text),
              split({other, true, behavior, behavior == SplitBehavior::removed}, text));
}

TEST(SplitPattern, SpellsOutTheClassesOfTheReference) {
  EXPECT_EQ(with_reference_classes("a\\sb").find("a[\\x{9}-\\x{D}"), 0u);
  EXPECT_EQ(with_reference_classes("\\S").substr(0, 3), "[^\\");
  EXPECT_EQ(with_reference_classes("[^\\s]").substr(0, 4), "[^\\x");
  EXPECT_EQ(with_reference_classes("[]\\s]").substr(0, 4), "[]\\x")
      << "a ] that comes first stands for itself";
  EXPECT_EQ(with_reference_classes("\\\\s"), "\\\\s") << "a backslash and an s";
  EXPECT_EQ(with_reference_classes("\\p{Lu}"), "\\p{Lu}");
  // U+180E is a space for PCRE2 and none for the reference; U+1CFA is a letter that PCRE2 does not know.
  const SplitPattern spaces("\\s", true, SplitBehavior::removed, false);
  EXPECT_EQ(split(spaces, "a\u180eb c"), (Pieces{"a\u180eb", "c"}));
  const SplitPattern no_spaces("\\S+", true, SplitBehavior::isolated, false);
  EXPECT_EQ(split(no_spaces, "a\u180e b"), (Pieces{"a\u180e", " ", "b"}));
  const SplitPattern in_class("[^\\S\\n]+", true, SplitBehavior::isolated, false);
  EXPECT_EQ(split(in_class, "a \t\nb"), (Pieces{"a", " \t", "\nb"}));
}

// Quadratic time would take hours.
TEST(SplitPattern, LongTextsTakeLinearTime) {
  const SplitPattern pattern("\\s+|\\w+|[^\\s\\w]+", true, SplitBehavior::isolated, false);
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "word, ";
  std::size_t pieces = 0;
  pattern.split(text, [&](std::string_view) { ++pieces; });
  EXPECT_EQ(pieces, 600000u);
}

}  // namespace
}  // namespace pare
