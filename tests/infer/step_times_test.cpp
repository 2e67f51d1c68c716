// Times between measured ones are a line; what was not measured is guessed at its best; nothing is kept for
// ever.
#include "infer/step_times.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(StepTimes, LieOnLinesBetweenTheMeasuredOnes) {
  StepTimes t;
  EXPECT_EQ(t.of(1), 0) << "nothing is known";
  t.add(2, 10);
  t.add(6, 18);
  EXPECT_DOUBLE_EQ(t.of(2), 10);
  EXPECT_DOUBLE_EQ(t.of(3), 12);
  EXPECT_DOUBLE_EQ(t.of(6), 18);
  EXPECT_DOUBLE_EQ(t.of(100), 18) << "more rows may cost nothing";
  EXPECT_DOUBLE_EQ(t.of(1), 5) << "fewer may cost in proportion";
}

TEST(StepTimes, FollowWhatChangesAndAreNotCarriedAwayByOneStep) {
  StepTimes t;
  t.add(1, 1);
  t.add(1, 1000);
  EXPECT_LE(t.of(1), 1.3);
  for (int i = 0; i < 60; ++i) t.add(1, 3);
  EXPECT_NEAR(t.of(1), 3, 1e-3);
  for (int i = 0; i < 60; ++i) t.add(1, 2);
  EXPECT_NEAR(t.of(1), 2, 1e-3);
}

TEST(StepTimes, NeverFallWithTheRowsAndTheLaterMeasurementDecides) {
  StepTimes t;
  t.add(1, 4);  // while another program ran
  t.add(9, 2);
  EXPECT_EQ(t.of(1), 2);
  t.add(17, 3);
  t.add(13, 5);
  EXPECT_EQ(t.of(17), 5);
  EXPECT_EQ(t.of(9), 2);
}

TEST(StepTimes, OfAllRowsFollowAMachineThatBecomesSlower) {
  StepTimes t;
  t.add(1, 1);
  t.add(9, 2);
  for (int i = 0; i < 60; ++i) t.add(9, 6);
  EXPECT_NEAR(t.of(9), 6, 0.01);
  EXPECT_GT(t.of(1), 1.5);
  EXPECT_LT(t.of(1), 3.5);
}

TEST(StepTimes, AreForgottenWhenTheyAreOld) {
  StepTimes t;
  t.add(4, 1000);  // a step that was interrupted
  for (i64 i = 0; i < StepTimes::kKept; ++i) t.add(1, 1);
  EXPECT_EQ(t.of(4), 1000);
  t.add(1, 1);
  EXPECT_EQ(t.of(4), 1) << "it is tried again";
}

}  // namespace
}  // namespace pare
