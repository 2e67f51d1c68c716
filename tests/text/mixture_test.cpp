// A line that names several sources is read as parts with shares; anything else is one source as it stands.
#include "text/mixture.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

TEST(Mixture, of_one_source_is_that_source_as_it_stands) {
  for (const std::string source : {"sums:train", "a * b.txt", "with space+plus.jsonl", ""}) {
    const std::vector<MixturePart> parts = mixture_parts(source);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts[0].source, source);
    EXPECT_EQ(parts[0].share, 1);
  }
}

TEST(Mixture, shares_add_up_to_one_and_follow_the_numbers) {
  const std::vector<MixturePart> parts = mixture_parts("sums:train * 3 + my wiki.txt  +  b.jsonl * 0.5");
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].source, "sums:train");
  EXPECT_EQ(parts[1].source, "my wiki.txt");
  EXPECT_EQ(parts[2].source, "b.jsonl");
  EXPECT_DOUBLE_EQ(parts[0].share, 3 / 4.5);
  EXPECT_DOUBLE_EQ(parts[1].share, 1 / 4.5);
  EXPECT_DOUBLE_EQ(parts[2].share, 0.5 / 4.5);
}

TEST(Mixture, slips_are_refused) {
  for (const char* text : {"a +  + b", " + b", "a * 0 + b", "a * -1 + b", "a * x + b", "a * nan + b"})
    EXPECT_THROW(mixture_parts(text), Error) << text;
}

}  // namespace
}  // namespace pare
