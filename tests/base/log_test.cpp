#include "base/log.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

class Log : public testing::Test {
 protected:
  void TearDown() override { set_log_level(before_); }
  LogLevel before_ = log_level();
};

std::string stderr_of(const std::function<void()>& action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST_F(Log, AMessageIsOneLineOnStderrWithItsLevel) {
  set_log_level(LogLevel::info);
  const std::string text = stderr_of([] { log_warning("disk {} full", 3); });
  EXPECT_NE(text.find("warning disk 3 full\n"), std::string::npos) << text;
}

TEST_F(Log, NothingBelowTheLevelIsWritten) {
  set_log_level(LogLevel::error);
  EXPECT_EQ(stderr_of([] {
              log_debug("a");
              log_info("b");
              log_warning("c");
              log_message(LogLevel::info, "d");
            }),
            "");
  EXPECT_NE(stderr_of([] { log_error("e"); }), "");
  set_log_level(LogLevel::off);
  EXPECT_EQ(stderr_of([] {
              log_error("f");
              log_message(LogLevel::off, "g");
            }),
            "");
}

TEST_F(Log, BracesInAMessageAreText) {
  set_log_level(LogLevel::info);
  EXPECT_NE(stderr_of([] { log_info("{}", "{\"a\": {}}"); }).find("{\"a\": {}}"), std::string::npos);
}

TEST_F(Log, LevelsAreParsedByName) {
  EXPECT_EQ(parse_log_level("debug", "x"), LogLevel::debug);
  EXPECT_EQ(parse_log_level("off", "x"), LogLevel::off);
  EXPECT_THROW(parse_log_level("loud", "x"), Error);
}

}  // namespace
}  // namespace pare
