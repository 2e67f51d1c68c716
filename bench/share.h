// A speed as a share of this machine's own limit. On a shared machine the limit itself changes from minute to
// minute: it is probed before and after every piece of work, and the median of the ratios is the share.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "measure/machine.h"

namespace pare {

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Runs `work` (of `ops` operations) in every iteration of `state`, `limit()` (1e9 a second) measured
/// between. Counters: Gop/s (median), share of the limit (median of the pairs), and the limit by its name.
/// For UseManualTime(): the probes count no time.
inline void run_beside(benchmark::State& state,
                       double ops,
                       const std::function<void()>& work,
                       const std::string& limit_name,
                       const std::function<double()>& limit,
                       const std::string& rate_name = "Gop/s") {
  std::vector<double> rates, shares, limits{limit()};
  for (auto _ : state) {
    const Stopwatch watch;
    work();
    const double work_s = watch.elapsed_s();
    state.SetIterationTime(work_s);
    limits.push_back(limit());
    rates.push_back(ops / work_s * 1e-9);
    shares.push_back(rates.back() / (0.5 * (limits.back() + limits[limits.size() - 2])));
  }
  state.counters[rate_name] = median(rates);
  state.counters[limit_name] = median(limits);
  state.counters["share"] = median(shares);
}

inline void run_beside_f32_peak(benchmark::State& state, double flops, const std::function<void()>& work) {
  run_beside(
      state, flops, work, "f32 peak", [] { return f32_gflop_per_s(0.05); }, "GFLOP/s");
}

/// Work that reads `bytes` of memory.
inline void run_beside_read_limit(benchmark::State& state, double bytes, const std::function<void()>& work) {
  ReadProbe probe;
  run_beside(
      state, bytes, work, "read limit", [&] { return probe.gb_per_s(); }, "GB/s");
}

}  // namespace pare
