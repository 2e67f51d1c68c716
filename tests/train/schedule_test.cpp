// Learning rates equal the formulas of the header at every step, also where a part of the schedule is empty.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

constexpr double kPi = 3.14159265358979323846;

void expect_rate(const Schedule& s, i64 t, double wanted) {
  EXPECT_NEAR(learning_rate(s, t), wanted, 1e-15)
      << s.kind << " warm-up " << s.warmup_steps << " of " << s.steps << " at " << t;
}

TEST(Schedule, WarmUpIsLinearAndEndsAtThePeakWhateverFollows) {
  for (const char* kind : {"cosine", "wsd", "constant"}) {
    const Schedule s{kind, 0.02, 0.1, 0.2, 5, 20};
    for (i64 t = 0; t < 5; ++t) expect_rate(s, t, 0.02 * static_cast<double>(t + 1) / 5);
  }
}

TEST(Schedule, Cosine) {
  for (const i64 warmup : {0, 1, 3, 7}) {
    const Schedule s{"cosine", 0.01, 0.1, 0.2, warmup, 12};
    const double first = warmup > 0 ? static_cast<double>(warmup) - 1 : 0;  // the step of the peak
    for (i64 t = warmup; t < 12; ++t) {
      const double p = (static_cast<double>(t) - first) / (11 - first);
      expect_rate(s, t, 0.001 + 0.009 * (1 + std::cos(kPi * p)) / 2);
    }
    expect_rate(s, 11, 0.001);
    if (warmup == 0) expect_rate(s, 0, 0.01);
  }
}

TEST(Schedule, CosineNeverRises) {
  const Schedule s{"cosine", 1.0, 0.0, 0.2, 10, 1000};
  for (i64 t = 10; t < 1000; ++t) EXPECT_LT(learning_rate(s, t), learning_rate(s, t - 1)) << t;
  EXPECT_EQ(learning_rate(s, 999), 0);
}

TEST(Schedule, WarmUpStableDecay) {
  const Schedule s{"wsd", 0.01, 0.1, 0.25, 2, 20};  // five steps decay: 15 … 19
  for (i64 t = 1; t <= 15; ++t) expect_rate(s, t, 0.01);
  for (i64 t = 15; t < 20; ++t) expect_rate(s, t, 0.01 - 0.009 * static_cast<double>(t - 15) / 4);
}

TEST(Schedule, DecayStepsAreCountedWithoutRoundingErrors) {
  // Shares whose product with the steps, or its complement, is not whole in double: decay is ten times share.
  for (i64 decay = 1; decay <= 9; ++decay) {
    const Schedule s{"wsd", 1.0, 0.0, static_cast<double>(decay) / 10, 0, 10};
    for (i64 t = 0; t <= 10 - decay; ++t)
      if (t < 9) expect_rate(s, t, 1.0);
    EXPECT_EQ(learning_rate(s, 9), 0);
    if (decay > 2) {
      EXPECT_LT(learning_rate(s, 10 - decay + 1), 1);
    }
  }
  // A part of a step counts as one: 1.5 of 15 steps are two, of which the first is still at the peak.
  const Schedule half{"wsd", 1.0, 0.0, 0.1, 0, 15};
  expect_rate(half, 13, 1.0);
  expect_rate(half, 14, 0.0);
}

TEST(Schedule, DecayOfNothingAndOfAllSteps) {
  const Schedule never{"wsd", 0.5, 0.1, 0.0, 0, 10}, always{"wsd", 0.5, 0.1, 1.0, 0, 10};
  for (i64 t = 0; t < 10; ++t) {
    expect_rate(never, t, 0.5);
    expect_rate(always, t, 0.5 - 0.45 * static_cast<double>(t) / 9);
  }
}

TEST(Schedule, ConstantStaysAtThePeak) {
  const Schedule s{"constant", 0.3, 0.1, 0.2, 2, 9};
  expect_rate(s, 0, 0.15);
  for (i64 t = 1; t < 9; ++t) EXPECT_EQ(learning_rate(s, t), 0.3);
}

TEST(Schedule, OneStepIsTakenAtThePeak) {
  for (const char* kind : {"cosine", "wsd", "constant"})
    for (const i64 warmup : {0, 1})
      EXPECT_EQ(learning_rate({kind, 0.7, 0.0, 0.2, warmup, 1}, 0), 0.7) << kind;
}

TEST(Schedule, WarmUpAsLongAsTheRunOrLonger) {
  for (const char* kind : {"cosine", "wsd", "constant"}) {
    for (i64 t = 0; t < 6; ++t) {
      expect_rate({kind, 0.6, 0.1, 0.2, 6, 6}, t, 0.1 * static_cast<double>(t + 1));
      expect_rate({kind, 0.6, 0.1, 0.2, 12, 6}, t, 0.05 * static_cast<double>(t + 1));
    }
  }
}

TEST(Schedule, RefusesAnUnknownKindAtAnyStep) {
  for (const i64 t : {0, 5}) try {
      learning_rate({"linear", 1, 0, 0, 3, 10}, t);
      ADD_FAILURE() << "no error at " << t;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      EXPECT_NE(std::string(e.what()).find("linear"), std::string::npos);
    }
}

}  // namespace
}  // namespace pare
