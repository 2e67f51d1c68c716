// Paired bootstrap of a mean difference: questions are drawn with replacement, both answers of one together.
//
// Source: Efron 1987, "Better bootstrap confidence intervals" (doi 10.1080/01621459.1987.10478410).
//
//   percentile  quantiles (1 − level)/2 and (1 + level)/2 of the resampled means
//   BCa         quantiles Φ(z₀ + (z₀ + z)/(1 − a·(z₀ + z))) of them, z = Φ⁻¹ of the two levels,
//               z₀ = Φ⁻¹(share of resampled means below the mean, ties half), a = Σe³/(6·(Σe²)^1.5), e = d −
//               mean
//   p           (1 + #{|resampled mean − mean| ≥ |mean|}) / (1 + resamples): the law of the mean moved onto 0
#pragma once
#include <span>

#include "base/types.h"
#include "eval/statistics.h"

namespace pare {

struct BootstrapOptions {
  i64 resamples = 10000;
  double level = 0.95;
  u64 seed = 0;
};

struct Bootstrap {
  double mean = 0;            // of the differences
  double standard_error = 0;  // standard deviation of the resampled means
  double acceleration = 0, bias_z = 0;
  Interval percentile, bca;
  double p = 1;  // two-sided, for a mean of 0
};

/// d[i] = variant[i] − baseline[i]. Resample r is a pure function of (seed, r), so the result has the same
/// bits for any number of threads. When all d are equal both intervals are that one point. Memory: 8 bytes a
/// resample. Throws a bug when d is empty, has a value that is not finite, or an option is out of range.
Bootstrap paired_bootstrap(std::span<const double> d, const BootstrapOptions& options = {});

/// The same from two lists of equal length: d = variant − baseline.
Bootstrap paired_bootstrap(std::span<const double> baseline,
                           std::span<const double> variant,
                           const BootstrapOptions& options = {});

}  // namespace pare
