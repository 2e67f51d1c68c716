// Threads for work that mostly waits: one for each job, made when there is a job, at most so many.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/types.h"

namespace pare {

/// Thread-safe, but for stop().
class WorkerPool {
 public:
  explicit WorkerPool(i64 most) : most_(most) {}
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Runs `job`, which must throw nothing, on a thread at once. False when all threads are busy: then it is
  /// not run.
  bool try_run(std::function<void()> job);
  /// Waits until all jobs are done; takes none any more.
  void stop();

 private:
  void work();

  const i64 most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;  // never more than idle threads
  std::vector<std::thread> threads_;
  i64 idle_ = 0;  // threads that wait, less the jobs that wait for them
  bool stop_ = false;
};

}  // namespace pare
