// Distributions, summaries and corrections for several tests: what the paired tests and intervals stand on.
//
// Everything is a pure function of its arguments. A value outside its range throws a bug (the caller's
// mistake).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/types.h"

namespace pare {

struct Interval {
  double lo = 0, hi = 0;
  /// True when 0 lies outside: the difference is beyond the noise at the interval's level.
  bool excludes_zero() const { return lo > 0 || hi < 0; }
};

// ---- distributions (Boost.Math inside) ----

double normal_cdf(double z);
double normal_sf(double z);
double normal_quantile(double p);
double student_cdf(double t, double degrees);
double student_sf(double t, double degrees);
double student_quantile(double p, double degrees);
double chi_squared_sf(double x, double degrees);
double beta_quantile(double p, double a, double b);
double log_beta(double a, double b);
/// P(X ≤ k), P(X ≥ k) and P(X = k) for X ~ Binomial(n, p). k may lie outside [0, n].
double binomial_cdf(i64 k, i64 n, double p);
double binomial_at_least(i64 k, i64 n, double p);
double binomial_pmf(i64 k, i64 n, double p);

// ---- summaries ----

/// NaN for an empty list. Summed in the order given.
double mean(std::span<const double> x);
/// Divides by n − 1; NaN for n < 2.
double standard_deviation(std::span<const double> x);
/// Linear interpolation between order statistics, numpy's default ("linear"): position p·(n − 1). p in [0,
/// 1]. Throws a bug when x is empty.
double quantile(std::span<const double> x, double p);
/// The same on a list that is sorted already.
double quantile_sorted(std::span<const double> sorted, double p);
/// The median of |x − median(x)|, not scaled.
double median_absolute_deviation(std::span<const double> x);
/// Ranks from 1; equal values share the mean of their ranks.
std::vector<double> midranks(std::span<const double> x);

// ---- several tests at once ----

enum class Correction { bonferroni, holm, benjamini_hochberg, benjamini_yekutieli };

/// Adjusted p-values in the order given: reject test i at level α when adjusted[i] ≤ α.
/// Holm (1979) bounds the chance of any false alarm; Benjamini-Hochberg (1995) the expected share of false
/// alarms among the alarms (independent tests); Benjamini-Yekutieli (2001) that for any dependence.
std::vector<double> adjusted_p_values(std::span<const double> p, Correction correction);

}  // namespace pare
