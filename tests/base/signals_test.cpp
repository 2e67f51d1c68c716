#include "base/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "base/error.h"

namespace pare {
namespace {

class Signals : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    clear_stop();
  }
  void TearDown() override {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    clear_stop();
  }
};

TEST_F(Signals, WithoutASignalNothingStops) {
  catch_signals();
  EXPECT_FALSE(stop_requested());
  EXPECT_NO_THROW(check_stop());
}

TEST_F(Signals, TheFirstSignalAsksForAStopThatNamesIt) {
  for (const auto& [signal, name] : {std::pair{SIGINT, "SIGINT"}, std::pair{SIGTERM, "SIGTERM"}}) {
    clear_stop();
    catch_signals();
    ::raise(signal);
    EXPECT_TRUE(stop_requested());
    try {
      check_stop();
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::job);
      EXPECT_EQ(std::string(e.what()),
                std::string("stopped by ") + name + "; the same command goes on where it stopped");
    }
  }
}

TEST_F(Signals, TheSecondSignalEndsTheProcessAtOnce) {
  const auto twice = [] {
    catch_signals();
    ::raise(SIGINT);
    ::raise(SIGTERM);
    ::_exit(0);
  };
  EXPECT_EXIT(twice(), testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST_F(Signals, ARequestFromInsideStopsToo) {
  request_stop(SIGTERM);
  EXPECT_THROW(check_stop(), Error);
  clear_stop();
  EXPECT_NO_THROW(check_stop());
}

}  // namespace
}  // namespace pare
