// A half-written file is abandoned when, and only when, the process that was writing it is gone.
#include "store/abandoned.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

namespace pare {
namespace {

TEST(Abandoned, KnowsTheLivingFromTheDead) {
  EXPECT_FALSE(is_abandoned(temporary_beside("folder/report.html")));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string name = temporary_beside("folder/a-b-7-report.html").string();
    ::_exit(::write(ends[1], name.data(), name.size()) < 0);
  }
  std::string name(256, ' ');
  name.resize(static_cast<std::size_t>(::read(ends[0], name.data(), name.size())));
  ::waitpid(pid, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_TRUE(is_abandoned(name)) << name;
}

TEST(Abandoned, OtherNamesAreNobodysToRemove) {
  for (const char* name :
       {"report.html", ".tmp-", ".tmp-x", ".tmp-x-y-z", "-", "", ".tmp--1-0", "tmp-x-999999999-0"})
    EXPECT_FALSE(is_abandoned(name)) << name;
}

}  // namespace
}  // namespace pare
