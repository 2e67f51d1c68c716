#include "serve/worker_pool.h"

#include <system_error>

namespace pare {

bool WorkerPool::try_run(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (stop_) return false;
  if (idle_ == 0) {
    if (static_cast<i64>(threads_.size()) >= most_) return false;
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      return false;  // the machine gives no more
    }
    ++idle_;
  }
  --idle_;
  jobs_.push_back(std::move(job));
  wake_.notify_one();
  return true;
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
    ++idle_;
  }
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
}

}  // namespace pare
