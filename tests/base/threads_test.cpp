#include "base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"

namespace pare {
namespace {

class Threads : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_threads(GetParam()); }
  void TearDown() override { set_threads(0); }
};

TEST_P(Threads, RowsAreCoveredExactlyOnce) {
  for (const i64 n : {0, 1, 2, 3, 7, 64, 1000}) {
    for (const i64 grain : {1, 5, 64, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      parallel_rows(n, grain, [&](i64 begin, i64 end) {
        EXPECT_LT(begin, end);
        for (i64 i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const auto& count : seen) ASSERT_EQ(count, 1) << n << " rows, grain " << grain;
    }
  }
}

TEST_P(Threads, TasksAreCoveredExactlyOnce) {
  std::vector<std::atomic<int>> seen(333);
  parallel_tasks(333, [&](i64 i) { ++seen[static_cast<std::size_t>(i)]; });
  for (const auto& count : seen) ASSERT_EQ(count, 1);
  parallel_tasks(0, [](i64) { FAIL() << "there is no task"; });
}

TEST_P(Threads, AnExceptionOfABodyReachesTheCaller) {
  EXPECT_THROW(parallel_rows(100,
                             1,
                             [](i64 begin, i64 end) {
                               if (begin <= 50 && 50 < end) throw user_error("row 50");
                             }),
               Error);
  EXPECT_THROW(parallel_tasks(100,
                              [](i64 i) {
                                if (i == 50) throw user_error("task 50");
                              }),
               Error);
}

TEST_P(Threads, ANestedLoopRunsInItsThread) {
  std::atomic<int> sum{0};
  parallel_rows(4, 1, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i)
      parallel_rows(10, 1, [&](i64 b, i64 e) { sum += static_cast<int>(e - b); });
  });
  EXPECT_EQ(sum, 40);
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, testing::Values(1, 2, 3, 8));

TEST(ThreadCount, MoreThanOneThreadReallyWorks) {
  set_threads(3);
  std::set<std::thread::id> ids;
  std::mutex mutex;
  parallel_rows(3, 1, [&](i64, i64) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  set_threads(0);
  EXPECT_EQ(ids.size(), 3u);
}

TEST(ThreadCount, ZeroMeansAllCoresAndANegativeCountIsTheUsersMistake) {
  set_threads(5);
  EXPECT_EQ(threads(), 5);
  set_threads(0);
  EXPECT_GE(threads(), 1);
  EXPECT_THROW(set_threads(-1), Error);
}

}  // namespace
}  // namespace pare
