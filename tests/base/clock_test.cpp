#include "base/clock.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(Clock, TheSteadyClockNeverGoesBack) {
  double last = steady_clock().now_s();
  for (int i = 0; i < 1000; ++i) {
    const double now = steady_clock().now_s();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, AStopwatchMeasuresTheClockItWasGiven) {
  FakeClock clock;
  clock.advance(100);
  Stopwatch watch(clock);
  clock.advance(2.5);
  EXPECT_EQ(watch.elapsed_s(), 2.5);
  watch.restart();
  EXPECT_EQ(watch.elapsed_s(), 0);
}

TEST(Clock, UtcTextIsIso8601) {
  EXPECT_EQ(utc_text(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(951782399.9), "2000-02-28T23:59:59Z");
  EXPECT_EQ(utc_text(951782400), "2000-02-29T00:00:00Z");
  EXPECT_GT(unix_time_s(), 1.7e9);
}

}  // namespace
}  // namespace pare
