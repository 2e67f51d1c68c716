// A stage's options: types, limits and names are checked with messages that say what to write instead.
#include "stages/options.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

struct Options {
  i64 bits = 4;
  double share = 0.5;
  std::string group = "64";
  bool symmetric = true;
  std::string note = "";
};
constexpr std::tuple fields{
    field("bits", &Options::bits, "bits", between(2, 8)),
    field("share", &Options::share, "share", between(0, 1)),
    field("group", &Options::group, "group", one_of("32", "64", "row")),
    field("symmetric", &Options::symmetric, "symmetric"),
    field("note", &Options::note, "free text"),
};

json canonical(const json& given) {
  return canonical_options(option_help<Options>(fields), "a.stage", given, "r.yaml:3");
}
std::string message(const json& given) {
  try {
    canonical(given);
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    return e.what();
  }
  return "";
}

TEST(Options, DefaultsFillWhatIsNotGivenInTheOrderOfFields) {
  EXPECT_EQ(canonical({}).dump(), R"({"bits":4,"share":0.5,"group":"64","symmetric":true,"note":""})");
  EXPECT_EQ(canonical({{"symmetric", false}, {"bits", 3}}).dump(),
            R"({"bits":3,"share":0.5,"group":"64","symmetric":false,"note":""})");
}

TEST(Options, OneValueHasOneSpelling) {
  EXPECT_EQ(canonical({{"share", 1}}), canonical({{"share", 1.0}}));
  EXPECT_EQ(canonical({{"group", 32}}), canonical({{"group", "32"}}));
  EXPECT_EQ(canonical({{"bits", 5.0}}).dump(), canonical({{"bits", 5}}).dump());
}

TEST(Options, ComeBackAsTheStruct) {
  const auto o = options_of<Options>(fields, canonical({{"bits", 2}, {"group", "row"}, {"share", 0.25}}));
  EXPECT_EQ(o.bits, 2);
  EXPECT_EQ(o.group, "row");
  EXPECT_EQ(o.share, 0.25);
  EXPECT_TRUE(o.symmetric);
}

TEST(Options, MistakesAreNamedWithWhatIsAllowed) {
  EXPECT_EQ(message({{"bit", 4}}), "r.yaml:3: a.stage has no option \"bit\"; did you mean \"bits\"?");
  EXPECT_EQ(message({{"bits", 9}}), "r.yaml:3: a.stage.bits is 9, expected 2 to 8");
  EXPECT_EQ(message({{"bits", 2.5}}), "r.yaml:3: a.stage.bits is 2.5, expected a whole number: 2 to 8");
  EXPECT_EQ(message({{"bits", "four"}}),
            "r.yaml:3: a.stage.bits is \"four\", expected a whole number: 2 to 8");
  EXPECT_EQ(message({{"symmetric", 1}}), "r.yaml:3: a.stage.symmetric is 1, expected true or false");
  EXPECT_EQ(message({{"group", "rows"}}),
            "r.yaml:3: a.stage.group is \"rows\", expected 32 | 64 | row; did you mean \"row\"?");
  EXPECT_EQ(message({{"note", 3}}), "r.yaml:3: a.stage.note is 3, expected a text");
  EXPECT_EQ(message(json::array({1})),
            "r.yaml:3: the options of a.stage are [1], expected a map like {name: value}");
}

TEST(Options, ValuesOutsideEveryNumberAreRefused) {
  EXPECT_NE(message({{"share", std::numeric_limits<double>::quiet_NaN()}}), "");
  EXPECT_NE(message({{"share", -0.001}}), "");
  EXPECT_NE(message({{"bits", 18446744073709551615ull}}), "");
}

}  // namespace
}  // namespace pare
