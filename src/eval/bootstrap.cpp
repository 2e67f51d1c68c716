#include "eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/threads.h"

namespace pare {
namespace {

/// The sum of one resample. An index is the high word of (32 random bits)·n: its bias is below n/2³², far
/// under the noise of any number of resamples, and it needs no rejected draws.
double resampled_sum(std::span<const double> d, u64 seed, u64 resample) {
  const u64 n = d.size();
  double sum = 0;
  for (u64 i = 0; i < n; i += 4) {
    const auto words = philox({static_cast<u32>(i / 4),
                               static_cast<u32>(i / 4 >> 32),
                               static_cast<u32>(resample),
                               static_cast<u32>(resample >> 32)},
                              seed);
    for (u64 j = 0; j < std::min<u64>(4, n - i); ++j) sum += d[words[j] * n >> 32];
  }
  return sum;
}

double acceleration_of(std::span<const double> d, double center) {
  double squares = 0, cubes = 0;
  for (const double v : d) {
    const double e = v - center;
    squares += e * e;
    cubes += e * e * e;
  }
  return squares == 0 ? 0 : cubes / (6 * std::pow(squares, 1.5));
}

}  // namespace

Bootstrap paired_bootstrap(std::span<const double> d, const BootstrapOptions& options) {
  if (d.empty()) throw bug("paired_bootstrap of no differences");
  if (d.size() > 0xFFFFFFFFu) throw bug("paired_bootstrap of {} differences", d.size());
  if (options.resamples < 1) throw bug("paired_bootstrap with {} resamples", options.resamples);
  if (!(options.level > 0 && options.level < 1)) throw bug("paired_bootstrap at level {}", options.level);
  for (const double v : d) {
    if (!std::isfinite(v)) throw bug("paired_bootstrap of a difference that is not finite");
  }
  const double n = static_cast<double>(d.size());
  Bootstrap result;
  result.mean = mean(d);

  std::vector<double> means(static_cast<std::size_t>(options.resamples));
  parallel_rows(options.resamples, 64, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      means[static_cast<std::size_t>(r)] = resampled_sum(d, options.seed, static_cast<u64>(r)) / n;
    }
  });
  std::sort(means.begin(), means.end());

  const auto [least, most] = std::minmax_element(d.begin(), d.end());
  const double spread = *most - *least;
  if (spread == 0) {
    result.percentile = result.bca = {result.mean, result.mean};
    result.p = result.mean == 0 ? 1.0 : 1.0 / (1.0 + static_cast<double>(options.resamples));
    return result;
  }

  // Equal means differ in their last bits when their terms came in another order.
  const double slack = 1e-12 * std::max(std::abs(*most), std::abs(*least));
  double below = 0, extreme = 0;
  for (const double m : means) {
    const double distance = m - result.mean;
    below += distance < -slack ? 1.0 : distance <= slack ? 0.5 : 0.0;
    extreme += std::abs(distance) >= std::abs(result.mean) - slack;
  }
  const double resamples = static_cast<double>(options.resamples), tail = (1 - options.level) / 2;
  result.p = (1 + extreme) / (1 + resamples);
  result.standard_error = standard_deviation(means);
  result.percentile = {quantile_sorted(means, tail), quantile_sorted(means, 1 - tail)};

  result.acceleration = acceleration_of(d, result.mean);
  result.bias_z = normal_quantile(below / resamples);
  const auto adjusted = [&](double p) {
    const double z = result.bias_z + normal_quantile(p);
    return normal_cdf(result.bias_z + z / (1 - result.acceleration * z));
  };
  result.bca = std::isfinite(result.bias_z) ? Interval{quantile_sorted(means, adjusted(tail)),
                                                       quantile_sorted(means, adjusted(1 - tail))}
                                            : result.percentile;
  return result;
}

Bootstrap paired_bootstrap(std::span<const double> baseline,
                           std::span<const double> variant,
                           const BootstrapOptions& options) {
  if (baseline.size() != variant.size()) {
    throw bug("paired_bootstrap of {} and {} answers", baseline.size(), variant.size());
  }
  std::vector<double> d(baseline.size());
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = variant[i] - baseline[i];
  return paired_bootstrap(d, options);
}

}  // namespace pare
