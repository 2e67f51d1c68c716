#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

std::string message_of(const std::string& text, int max_depth = 128) {
  try {
    parse_json(text, "some.json", max_depth);
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_EQ(std::string(e.what()).rfind("some.json: ", 0), 0u) << e.what();
    return e.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"z":1,"a":{"y":2,"b":3}})", "x").dump(), R"({"z":1,"a":{"y":2,"b":3}})");
}

TEST(Json, BadSyntaxNamesTheFile) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "{} {}", "nul", "\"\xff\""})
    EXPECT_NE(message_of(text), "") << text;
}

TEST(Json, AKeyThatStandsTwiceIsAnErrorInItsOwnObjectOnly) {
  EXPECT_NE(message_of(R"({"a":1,"b":{"c":1,"c":2}})").find("\"c\""), std::string::npos);
  EXPECT_NE(message_of(R"([{"a":{"x":1},"a":2}])").find("\"a\""), std::string::npos);
  EXPECT_EQ(message_of(R"({"a":{"a":1},"b":{"a":1},"c":[{"a":1},{"a":2}]})"), "");
}

TEST(Json, KeysOfOneObjectAreBounded) {
  const auto object = [](int n) {
    std::string text = "{\"a0\": 0";
    for (int i = 1; i < n; ++i) text += ", \"a" + std::to_string(i) + "\": 0";
    return text + "}";
  };
  EXPECT_EQ(parse_json(object(16384), "x").size(), 16384u);
  EXPECT_THROW(parse_json(object(16385), "x"), Error);
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_EQ(message_of(nested(10), 10), "");
  EXPECT_NE(message_of(nested(12), 10).find("10"), std::string::npos);
  // Far deeper than any stack: must be refused, not crash.
  EXPECT_NE(message_of(nested(1'000'000)), "");
}

TEST(Json, NearestNameFindsTypingMistakesOnly) {
  const std::vector<std::string> names = {"sparsity", "samples", "pattern"};
  EXPECT_EQ(nearest_name("sparsty", names), "sparsity");
  EXPECT_EQ(nearest_name("sample", names), "samples");
  EXPECT_EQ(nearest_name("zzzzzz", names), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace pare
