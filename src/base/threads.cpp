#include "base/threads.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "base/error.h"

namespace pare {
namespace {

int available_cores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return 1;
}

int thread_count = 0;

/// Keeps the first exception of a parallel region.
class FirstError {
 public:
  void keep() {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    failed_ = true;
  }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
};

}  // namespace

void set_threads(int n) {
  if (n < 0) throw user_error("threads: found {}, expected 0 (all cores) or more", n);
  thread_count = n == 0 ? available_cores() : n;
}

int threads() {
  if (thread_count == 0) thread_count = available_cores();
  return thread_count;
}

void limit_spinning(char** argv) {
  constexpr const char* kSpins = "10000";  // some 20 us: longer than the gap between two loops of a layer
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  if (::setenv("GOMP_SPINCOUNT", kSpins, 0) == 0) ::execv("/proc/self/exe", argv);
}

void parallel_rows(i64 n, i64 grain, const std::function<void(i64, i64)>& body) {
  const i64 pieces = std::min<i64>(threads(), (n + grain - 1) / std::max<i64>(grain, 1));
  if (pieces <= 1 || omp_in_parallel()) {
    if (n > 0) body(0, n);
    return;
  }
  const int team = static_cast<int>(pieces);
  FirstError error;
#pragma omp parallel num_threads(team)
  {
    const i64 id = omp_get_thread_num(), count = omp_get_num_threads();
    const i64 begin = n * id / count, end = n * (id + 1) / count;
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
      error.keep();
    }
  }
  error.rethrow();
}

void parallel_tasks(i64 n, const std::function<void(i64)>& body) {
  if (n <= 1 || threads() == 1 || omp_in_parallel()) {
    for (i64 i = 0; i < n; ++i) body(i);
    return;
  }
  FirstError error;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads())
  for (i64 i = 0; i < n; ++i) {
    if (error.failed()) continue;
    try {
      body(i);
    } catch (...) {
      error.keep();
    }
  }
  error.rethrow();
}

}  // namespace pare
