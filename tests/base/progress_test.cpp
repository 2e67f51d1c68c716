#include "base/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include "base/log.h"

namespace pare {
namespace {

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  EXPECT_EQ(progress_line("gptq", 12, 48, 4, "layer 3", 200),
            "gptq [######------------------] 12/48 3.0/s 12s left layer 3");
  EXPECT_EQ(progress_line("x", 1, 181, 20, "", 200),
            "x [------------------------] 1/181 20.0s each 1h00m left");
  EXPECT_EQ(progress_line("x", 2, 2, 1, "", 200), "x [########################] 2/2 2.0/s");
}

TEST(ProgressLine, BytesAreWrittenWithThreeDigitsAndAUnit) {
  EXPECT_EQ(progress_line("pull", 1'200'000, 4'800'000, 2, "1/3 files", 200, ProgressUnit::bytes),
            "pull [######------------------] 1.20 MB/4.80 MB 600 kB/s 6s left 1/3 files");
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.00 kB");
  EXPECT_EQ(bytes_text(999'499), "999 kB");
  EXPECT_EQ(bytes_text(999'500), "1.00 MB");
  EXPECT_EQ(bytes_text(15'264'000'000), "15.3 GB");
}

TEST(ProgressLine, AnUnknownTotalHasNoBar) {
  EXPECT_EQ(progress_line("read", 7, 0, 2, "", 80), "read 7 3.5/s");
}

TEST(ProgressLine, IsCutBetweenCharacters) {
  EXPECT_EQ(progress_line("aé", 7, 0, 0, "", 2), "aé");
  EXPECT_EQ(progress_line("aé", 7, 0, 0, "", 1), "a");
}

TEST(Progress, IsSilentWhenStderrIsNotATerminal) {
  testing::internal::CaptureStderr();
  {
    Progress bar("x", 3);
    bar.advance();
    bar.advance(2, "note");
    EXPECT_EQ(bar.done(), 3);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

/// Stderr is a pseudo terminal while one of these lives.
class Terminal {
 public:
  Terminal() {
    EXPECT_EQ(::openpty(&outer_, &inner_, nullptr, nullptr, nullptr), 0);
    ::fcntl(outer_, F_SETFL, O_NONBLOCK);
    saved_ = ::dup(STDERR_FILENO);
    ::dup2(inner_, STDERR_FILENO);
  }
  ~Terminal() {
    ::dup2(saved_, STDERR_FILENO);
    for (const int fd : {saved_, inner_, outer_}) ::close(fd);
  }
  std::string take() {
    char buffer[4096];
    std::string text;
    ssize_t n = 0;
    while ((n = ::read(outer_, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(n));
    return text;
  }

 private:
  int outer_ = -1, inner_ = -1, saved_ = -1;
};

TEST(Progress, DrawsOnATerminalAtMostTenTimesASecondAndWipesItself) {
  FakeClock clock;
  std::string start, fast, later, end;
  {
    Terminal terminal;
    Progress bar("job", 100, clock);
    start = terminal.take();
    clock.advance(0.05);
    bar.advance();
    fast = terminal.take();
    clock.advance(0.06);
    bar.advance();
    later = terminal.take();
    bar.finish();
    end = terminal.take();
  }
  EXPECT_NE(start.find("0/100"), std::string::npos);
  EXPECT_EQ(fast, "");
  EXPECT_NE(later.find("2/100"), std::string::npos);
  EXPECT_EQ(end, "\r\033[K");
}

TEST(ProgressSteps, StandBeforeTheBarsOfTheirParts) {
  FakeClock clock;
  std::string first, within, after, second, end;
  {
    Terminal terminal;
    {
      ProgressSteps steps(3, clock);
      steps.next("nf4", "quantize.nf4", 90);
      first = terminal.take();
      clock.advance(10);
      {
        Progress bar("gsm8k", 100, clock);
        within = terminal.take();
      }
      after = terminal.take();
      steps.next("nf4", "speed", -1);
      second = terminal.take();
    }
    end = terminal.take();
  }
  EXPECT_EQ(first, "\r[1/3 1m30s left] nf4: quantize.nf4\033[K");
  EXPECT_EQ(within.rfind("\r[1/3 1m20s left] nf4: gsm8k [---", 0), 0u) << within;
  EXPECT_EQ(after, "\r[1/3 1m20s left] nf4: quantize.nf4\033[K");
  EXPECT_EQ(second, "\r[2/3] nf4: speed\033[K");
  EXPECT_EQ(end, "\r\033[K");
}

TEST(Progress, AMessageWipesTheBarFirst) {
  FakeClock clock;
  std::string text;
  {
    Terminal terminal;
    Progress bar("job", 100, clock);
    terminal.take();
    log_error("boom");
    text = terminal.take();
  }
  EXPECT_EQ(text.rfind("\r\033[K", 0), 0u);
  EXPECT_NE(text.find("boom"), std::string::npos);
}

}  // namespace
}  // namespace pare
