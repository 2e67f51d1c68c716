// A speed as a share of this machine's own limit. On a shared machine the limit itself changes from minute to
// minute: it is probed before and after every piece of work, and the median of the ratios is the share.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "measure/machine.h"

namespace pare {

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Runs `work` (of `flops` floating-point operations) in every iteration of `state`, the f32 peak measured
/// between. Counters: GFLOP/s (median), share of the peak (median of the pairs), and the peak. For
/// UseManualTime(): the probes count no time.
inline void run_beside_f32_peak(benchmark::State& state, double flops, const std::function<void()>& work) {
  constexpr double kProbeS = 0.05;
  std::vector<double> rates, shares, peaks{f32_gflop_per_s(kProbeS)};
  for (auto _ : state) {
    const Stopwatch watch;
    work();
    const double work_s = watch.elapsed_s();
    state.SetIterationTime(work_s);
    peaks.push_back(f32_gflop_per_s(kProbeS));
    rates.push_back(flops / work_s * 1e-9);
    shares.push_back(rates.back() / (0.5 * (peaks.back() + peaks[peaks.size() - 2])));
  }
  state.counters["GFLOP/s"] = median(rates);
  state.counters["f32 peak"] = median(peaks);
  state.counters["share"] = median(shares);
}

}  // namespace pare
