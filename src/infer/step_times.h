// How long a step of n rows takes, t(n), as the steps of this process took.
#pragma once
#include <map>

#include "base/types.h"

namespace pare {

/// Between two numbers of rows that were measured t is a line; beyond them it is guessed at its best, so that
/// it is tried: t stays what it is for more rows, and is in proportion for fewer. t never falls with the
/// rows: the later measurement decides. Other programs may take half of the machine from one moment to the
/// next, so a step that was slower than expected makes all times longer. Not thread-safe.
class StepTimes {
 public:
  /// A step of `rows` ≥ 1 rows took so long. What is older than kKept steps is forgotten, so that one step
  /// that was interrupted decides nothing for good.
  void add(i64 rows, double seconds);
  /// 0 when nothing was measured yet.
  double of(i64 rows) const;

  static constexpr i64 kKept = 1024;

 private:
  struct Time {
    double seconds;
    i64 step;  // of its last measurement
  };
  std::map<i64, Time> times_;  // by rows
  i64 steps_ = 0;
};

}  // namespace pare
