#include "infer/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace pare {
namespace {

TEST(StopStrings, TheFirstOneCuts) {
  EXPECT_EQ(first_stop("one two", {"two", "ne"}), 1u);
  EXPECT_EQ(first_stop("one", {"two", ""}), std::string::npos);
}

// However the text is cut into pieces, what is shown is the text before the first stop string.
TEST(StopStrings, AStreamShowsWhatComesBeforeAStop) {
  std::mt19937 rng(3);
  const std::vector<std::string> stops = {"ab", "bba", "aaa", ""};
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::size_t n = rng() % 12; n > 0; --n) text += static_cast<char>('a' + rng() % 3);
    StopFilter filter(stops);
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n = rng() % 3 + 1;
      shown += filter.add(text.substr(at, n));
      EXPECT_TRUE(text.starts_with(shown));
      at += n;
    }
    shown += filter.finish();
    ASSERT_EQ(shown, text.substr(0, std::min(text.size(), first_stop(text, stops)))) << text;
  }
}

TEST(StopStrings, NothingIsHeldBackWithoutNeed) {
  StopFilter filter({"stop"});
  EXPECT_EQ(filter.add("a st"), "a ");
  EXPECT_EQ(filter.add("ar"), "star");
  EXPECT_EQ(filter.add(" sto"), " ");
  EXPECT_EQ(filter.finish(), "sto");
}

}  // namespace
}  // namespace pare
