#include "base/error.h"

#include <gtest/gtest.h>

namespace pare {
namespace {

TEST(Error, ExitCodesAreTheContractOfTheProgram) {
  EXPECT_EQ(job_error("x").exit_code(), 1);
  EXPECT_EQ(user_error("x").exit_code(), 2);
  EXPECT_EQ(bug("x").exit_code(), 70);
}

TEST(Error, CarriesTheFormattedMessage) {
  EXPECT_STREQ(user_error("{}: found {}", "w", 3).what(), "w: found 3");
  EXPECT_STREQ(bug("{}", 1).what(), "bug: 1");
}

}  // namespace
}  // namespace pare
