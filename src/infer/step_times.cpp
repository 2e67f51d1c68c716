#include "infer/step_times.h"

#include <algorithm>

namespace pare {

void StepTimes::add(i64 rows, double seconds) {
  ++steps_;
  const auto [at, is_new] = times_.try_emplace(rows, Time{seconds, steps_});
  Time& t = at->second;
  t.step = steps_;
  if (!is_new) {
    // Half of a change is of the machine, half of this number of rows; one step says little.
    const double change = (std::clamp(seconds / t.seconds, 0.5, 2.0) - 1) / 8;
    for (auto& entry : times_) entry.second.seconds *= 1 + change;
    t.seconds *= 1 + change;
  }
  for (auto& [n, other] : times_)
    other.seconds = n < rows ? std::min(other.seconds, t.seconds) : std::max(other.seconds, t.seconds);
  std::erase_if(times_, [&](const auto& entry) { return entry.second.step + kKept < steps_; });
}

double StepTimes::of(i64 rows) const {
  if (times_.empty()) return 0;
  const auto above = times_.lower_bound(rows);
  if (above == times_.end()) return times_.rbegin()->second.seconds;
  const auto [n, t] = *above;
  if (n == rows) return t.seconds;
  if (above == times_.begin()) return t.seconds * static_cast<double>(rows) / static_cast<double>(n);
  const auto [m, s] = *std::prev(above);
  return s.seconds + (t.seconds - s.seconds) * static_cast<double>(rows - m) / static_cast<double>(n - m);
}

}  // namespace pare
