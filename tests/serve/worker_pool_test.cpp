#include "serve/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace pare {
namespace {

TEST(WorkerPool, EveryJobHasAThreadAtOnceOrIsRefused) {
  WorkerPool pool(3);
  std::promise<void> open;
  const std::shared_future<void> opened = open.get_future().share();
  std::promise<void> begun[3];
  for (auto& b : begun)
    EXPECT_TRUE(pool.try_run([&b, opened] {
      b.set_value();
      opened.wait();
    }));
  for (auto& b : begun) b.get_future().wait();  // all three run at the same time
  EXPECT_FALSE(pool.try_run([] { ADD_FAILURE() << "a refused job ran"; }));
  open.set_value();
}

TEST(WorkerPool, ThreadsAreUsedAgainAndStopWaitsForJobs) {
  std::atomic<int> ran = 0;
  WorkerPool pool(2);
  for (int i = 0; i < 200;) i += pool.try_run([&] { ++ran; });
  pool.stop();
  EXPECT_EQ(ran, 200);
  EXPECT_FALSE(pool.try_run([] {}));
}

}  // namespace
}  // namespace pare
