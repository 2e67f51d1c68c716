#include "base/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"

namespace pare {
namespace {

std::atomic<int> asked_by{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may use only lock-free atomics");

void on_signal(int signal) {
  int none = 0;
  if (!asked_by.compare_exchange_strong(none, signal)) ::_exit(128 + signal);
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  // Writes to pipes go on; waits (poll, sleep) are interrupted all the same.
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // Beyond `ulimit -f` a write fails like one on a full disk, and is reported like one.
  ::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() { return stop_signal() != 0; }
int stop_signal() { return asked_by.load(std::memory_order_relaxed); }

void check_stop() {
  const int signal = stop_signal();
  if (signal == 0) return;
  throw job_error("stopped by {}; the same command goes on where it stopped",
                  signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

void request_stop(int signal) { asked_by = signal; }
void clear_stop() { asked_by = 0; }

}  // namespace pare
