#include "eval/proportions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace pare {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double two_sided_z(double level) { return normal_quantile(0.5 + level / 2); }

void check(i64 k, i64 n, double level) {
  if (k < 0 || k > n) throw bug("a share of {} right of {}", k, n);
  if (!(level > 0 && level < 1)) throw bug("level {} is outside (0, 1)", level);
}

/// [center − half, center + half] within [0, 1].
Interval clipped(double center, double half) {
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

/// The smallest count of right answers on one side that is still not rejected; −1 when nothing is ever
/// rejected. exact_p is monotone in min(b, c), so this one number is the rejection region for b + c = n.
i64 largest_rejected(i64 n, double alpha) {
  double cumulative = 0;
  i64 k = -1;
  while (2 * (k + 1) < n) {
    cumulative += binomial_pmf(k + 1, n, 0.5);
    if (2 * cumulative > alpha) break;
    ++k;
  }
  return k;
}

}  // namespace

Interval wilson_interval(i64 k, i64 n, double level) {
  check(k, n, level);
  if (n == 0) return {0, 1};
  const double z = two_sided_z(level), N = static_cast<double>(n), p = static_cast<double>(k) / N;
  const double scale = 1 + z * z / N;
  const double half = z * std::sqrt(p * (1 - p) / N + z * z / (4 * N * N)) / scale;
  Interval interval = clipped((p + z * z / (2 * N)) / scale, half);
  if (k == 0) interval.lo = 0;  // exactly, where rounding leaves 1e-18
  if (k == n) interval.hi = 1;
  return interval;
}

Interval clopper_pearson_interval(i64 k, i64 n, double level) {
  check(k, n, level);
  const double tail = (1 - level) / 2, right = static_cast<double>(k), wrong = static_cast<double>(n - k);
  return {k == 0 ? 0.0 : beta_quantile(tail, right, wrong + 1),
          k == n ? 1.0 : beta_quantile(1 - tail, right + 1, wrong)};
}

Interval agresti_coull_interval(i64 k, i64 n, double level) {
  check(k, n, level);
  const double z = two_sided_z(level), N = static_cast<double>(n) + z * z;
  const double p = (static_cast<double>(k) + z * z / 2) / N;
  return clipped(p, z * std::sqrt(p * (1 - p) / N));
}

Interval jeffreys_interval(i64 k, i64 n, double level) {
  check(k, n, level);
  const double tail = (1 - level) / 2;
  const double a = static_cast<double>(k) + 0.5, b = static_cast<double>(n - k) + 0.5;
  return {beta_quantile(tail, a, b), beta_quantile(1 - tail, a, b)};
}

Interval normal_interval(i64 k, i64 n, double level) {
  check(k, n, level);
  if (n == 0) return {0, 1};
  const double N = static_cast<double>(n), p = static_cast<double>(k) / N;
  return clipped(p, two_sided_z(level) * std::sqrt(p * (1 - p) / N));
}

McNemar mcnemar(i64 b, i64 c) {
  if (b < 0 || c < 0) throw bug("mcnemar of {} and {}", b, c);
  const i64 n = b + c, k = std::min(b, c);
  if (n == 0) return {};
  McNemar result;
  const double tail = binomial_cdf(k, n, 0.5), at = binomial_pmf(k, n, 0.5);
  result.exact_p = std::min(1.0, 2 * tail);
  result.mid_p = b == c ? 1 - at / 2 : 2 * tail - at;
  const double gap = static_cast<double>(std::abs(b - c)), N = static_cast<double>(n);
  result.chi2_p = chi_squared_sf(gap * gap / N, 1);
  result.chi2_corrected_p = chi_squared_sf((gap - 1) * (gap - 1) / N, 1);
  return result;
}

double required_pairs(double p10, double p01, double alpha, double power) {
  const double psi = p10 + p01, delta = p10 - p01;
  if (delta == 0) return kInfinity;
  const double root = normal_quantile(1 - alpha / 2) * std::sqrt(psi) +
                      normal_quantile(power) * std::sqrt(psi - delta * delta);
  return root * root / (delta * delta);
}

double exact_mcnemar_power(double p10, double p01, i64 n, double alpha) {
  const double psi = p10 + p01, share = p10 / psi;
  double power = 0;
  for (i64 differing = 1; differing <= n; ++differing) {
    const double weight = binomial_pmf(differing, n, psi);
    if (weight < 1e-18) continue;
    const i64 k = largest_rejected(differing, alpha);
    if (k < 0) continue;
    power +=
        weight * (binomial_cdf(k, differing, share) + binomial_at_least(differing - k, differing, share));
  }
  return power;
}

double cohens_h(double p1, double p2) { return 2 * std::asin(std::sqrt(p1)) - 2 * std::asin(std::sqrt(p2)); }

double required_unpaired_by_h(double p1, double p2, double alpha, double power) {
  const double h = cohens_h(p1, p2);
  if (h == 0) return kInfinity;
  // power = Φ(e − z) + Φ(−e − z) for the standardised effect e = |h|·√(n/2). Without the far tail e would be
  // z + Φ⁻¹(power): the start of Newton's steps, which lies a little too high.
  const double z = normal_quantile(1 - alpha / 2);
  double effect = z + normal_quantile(power);
  for (int step = 0; step < 20; ++step) {
    const double near = effect - z, far = -effect - z;
    const double slope =
        (std::exp(-near * near / 2) - std::exp(-far * far / 2)) / std::sqrt(2 * std::numbers::pi);
    effect -= (normal_cdf(near) + normal_cdf(far) - power) / slope;
  }
  return 2 * effect * effect / (h * h);
}

double required_unpaired_pooled(double p1, double p2, double alpha, double power) {
  if (p1 == p2) return kInfinity;
  const double p = (p1 + p2) / 2;
  const double root = normal_quantile(1 - alpha / 2) * std::sqrt(2 * p * (1 - p)) +
                      normal_quantile(power) * std::sqrt(p1 * (1 - p1) + p2 * (1 - p2));
  return root * root / ((p1 - p2) * (p1 - p2));
}

double pass_at_k(i64 n, i64 c, i64 k) {
  if (c < 0 || c > n || k < 1 || k > n) throw bug("pass_at_k of {} right of {}, k = {}", c, n, k);
  if (n - c < k) return 1.0;
  double all_wrong = 1;
  for (i64 i = n - c + 1; i <= n; ++i) all_wrong *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - all_wrong;
}

}  // namespace pare
