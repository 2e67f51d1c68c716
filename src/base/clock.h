// Time: a steady clock for durations, replaceable in tests, and the calendar for records.
#pragma once
#include <string>

namespace pare {

/// A source of seconds that never go back. The zero point means nothing; only differences do.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual double now_s() const = 0;
};

/// The machine's monotonic clock. Thread-safe.
const Clock& steady_clock();

/// Stands still until told otherwise. Not thread-safe.
class FakeClock : public Clock {
 public:
  double now_s() const override { return now_s_; }
  void advance(double seconds) { now_s_ += seconds; }

 private:
  double now_s_ = 0;
};

/// Seconds since its construction.
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock = steady_clock()) : clock_(&clock), start_s_(clock.now_s()) {}
  double elapsed_s() const { return clock_->now_s() - start_s_; }
  void restart() { start_s_ = clock_->now_s(); }

 private:
  const Clock* clock_;
  double start_s_;
};

/// Seconds since 1970 (UTC), for records only: it may jump.
double unix_time_s();

/// "2024-05-01T12:30:00Z".
std::string utc_text(double unix_s);

}  // namespace pare
