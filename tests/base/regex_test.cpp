#include "base/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

std::vector<std::string> wholes(const Regex& regex, std::string_view text) {
  std::vector<std::string> result;
  for (const RegexMatch& m : regex.find_all(text)) result.emplace_back(m.groups[0]);
  return result;
}

TEST(Regex, GroupsAndPlaces) {
  const auto matches = Regex("(a)|(b+)").find_all("xabb");
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].groups[1], "a");
  EXPECT_EQ(matches[0].groups[2].data(), nullptr);
  EXPECT_EQ(matches[1].groups[2], "bb");
  EXPECT_EQ(matches[1].begin, 2u);
  EXPECT_EQ(matches[1].end, 4u);
  EXPECT_EQ(Regex("b").find("abab", 2)->begin, 3u);
  EXPECT_FALSE(Regex("b").find("abab", 4));
  EXPECT_FALSE(Regex("b").find("abab", 9));
}

// Python: re.findall("a*", "baac") == ['', 'aa', '', ''], re.sub("a*", "-", "baac") == '-b--c-'.
TEST(Regex, EmptyMatchesAreThoseOfPython) {
  EXPECT_EQ(wholes(Regex("a*"), "baac"), (std::vector<std::string>{"", "aa", "", ""}));
  EXPECT_EQ(Regex("a*").replace_all("baac", "-"), "-b--c-");
  EXPECT_EQ(wholes(Regex("x*"), ""), (std::vector<std::string>{""}));
  EXPECT_EQ(wholes(Regex("x*"), "\xC3\xA9"), (std::vector<std::string>{"", ""}));  // not inside a character
}

TEST(Regex, EndsAndNewlinesAreThoseOfPython) {
  EXPECT_EQ(Regex("\\.$").replace_all("12.\n", ""), "12\n");
  EXPECT_EQ(Regex("\\.$").replace_all("1.\n2", ""), "1.\n2");
  EXPECT_EQ(wholes(Regex(".+"), "a\rb\nc"), (std::vector<std::string>{"a\rb", "c"}));
  EXPECT_EQ(Regex("$").replace_all("$1", "\\0$1"), "$1\\0$1") << "the replacement is literal";
}

TEST(Regex, UnicodeAndBrokenBytes) {
  EXPECT_EQ(wholes(Regex("\\p{L}+"), "né 3"), (std::vector<std::string>{"né"}));
  EXPECT_EQ(wholes(Regex("\\d"), "٣3"), (std::vector<std::string>{"3"}));
  EXPECT_EQ(wholes(Regex("\\d", {.unicode_classes = true}), "٣3"), (std::vector<std::string>{"٣", "3"}));
  EXPECT_EQ(wholes(Regex("É", {.ignore_case = true}), "é"), (std::vector<std::string>{"é"}));
  EXPECT_EQ(wholes(Regex("[0-9]+"),
                   "1\xFF"
                   "23\xC3"),
            (std::vector<std::string>{"1", "23"}));
}

TEST(Regex, AWrongPatternSaysWhere) {
  try {
    Regex("a(b");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_NE(std::string(e.what()).find("a(b"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("offset 3"), std::string::npos) << e.what();
  }
}

TEST(Regex, TooManyStepsAreAnErrorNotAHang) {
  EXPECT_THROW(Regex("(a|aa)+$").find(std::string(200, 'a') + "b"), Error);
  EXPECT_EQ(Regex("(?s)(.)*x").find(std::string(300000, 'a') + "x")->end, 300001u) << "deep, but fine";
}

}  // namespace
}  // namespace pare
