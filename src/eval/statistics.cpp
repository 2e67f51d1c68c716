#include "eval/statistics.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace pare {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const boost::math::normal kNormal;

void check_probability(double p, const char* what) {
  if (!(p >= 0 && p <= 1)) throw bug("{}: probability {} is outside [0, 1]", what, p);
}

}  // namespace

double normal_cdf(double z) { return boost::math::cdf(kNormal, z); }
double normal_sf(double z) { return boost::math::cdf(boost::math::complement(kNormal, z)); }

double normal_quantile(double p) {
  check_probability(p, "normal_quantile");
  if (p == 0 || p == 1) return p == 0 ? -HUGE_VAL : HUGE_VAL;
  return boost::math::quantile(kNormal, p);
}

double student_cdf(double t, double degrees) { return boost::math::cdf(boost::math::students_t(degrees), t); }
double student_sf(double t, double degrees) {
  return boost::math::cdf(boost::math::complement(boost::math::students_t(degrees), t));
}
double student_quantile(double p, double degrees) {
  return boost::math::quantile(boost::math::students_t(degrees), p);
}
double chi_squared_sf(double x, double degrees) {
  return boost::math::cdf(boost::math::complement(boost::math::chi_squared(degrees), x));
}

double beta_quantile(double p, double a, double b) {
  check_probability(p, "beta_quantile");
  return boost::math::quantile(boost::math::beta_distribution<double>(a, b), p);
}
double log_beta(double a, double b) {
  return boost::math::lgamma(a) + boost::math::lgamma(b) - boost::math::lgamma(a + b);
}

double binomial_cdf(i64 k, i64 n, double p) {
  check_probability(p, "binomial_cdf");
  if (k < 0 || k >= n) return k < 0 ? 0.0 : 1.0;
  return boost::math::cdf(boost::math::binomial(static_cast<double>(n), p), static_cast<double>(k));
}
double binomial_at_least(i64 k, i64 n, double p) {
  check_probability(p, "binomial_at_least");
  if (k <= 0 || k > n) return k <= 0 ? 1.0 : 0.0;
  const boost::math::binomial law(static_cast<double>(n), p);
  return boost::math::cdf(boost::math::complement(law, static_cast<double>(k - 1)));
}
double binomial_pmf(i64 k, i64 n, double p) {
  check_probability(p, "binomial_pmf");
  if (k < 0 || k > n) return 0.0;
  return boost::math::pdf(boost::math::binomial(static_cast<double>(n), p), static_cast<double>(k));
}

double mean(std::span<const double> x) {
  if (x.empty()) return kNan;
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double standard_deviation(std::span<const double> x) {
  if (x.size() < 2) return kNan;
  const double m = mean(x);
  double squares = 0;
  for (const double v : x) squares += (v - m) * (v - m);
  return std::sqrt(squares / static_cast<double>(x.size() - 1));
}

double quantile_sorted(std::span<const double> sorted, double p) {
  check_probability(p, "quantile");
  if (sorted.empty()) throw bug("quantile of an empty list");
  const double position = p * static_cast<double>(sorted.size() - 1);
  const std::size_t below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = position - static_cast<double>(below), step = sorted[above] - sorted[below];
  // From the nearer end, as numpy does: exact at both ends and monotone in p.
  return share < 0.5 ? sorted[below] + step * share : sorted[above] - step * (1 - share);
}

double quantile(std::span<const double> x, double p) {
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  return quantile_sorted(sorted, p);
}

double median_absolute_deviation(std::span<const double> x) {
  const double median = quantile(x, 0.5);
  std::vector<double> distance;
  for (const double v : x) distance.push_back(std::abs(v - median));
  return quantile(distance, 0.5);
}

std::vector<double> midranks(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> ranks(x.size());
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    for (end = begin + 1; end < order.size() && x[order[end]] == x[order[begin]];) ++end;
    const double shared = static_cast<double>(begin + 1 + end) / 2;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = shared;
  }
  return ranks;
}

std::vector<double> adjusted_p_values(std::span<const double> p, Correction correction) {
  const std::size_t m = p.size();
  for (const double value : p) check_probability(value, "adjusted_p_values");
  std::vector<std::size_t> order(m);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });

  std::vector<double> adjusted(m);
  const double tests = static_cast<double>(m);
  if (correction == Correction::bonferroni) {
    for (std::size_t i = 0; i < m; ++i) adjusted[i] = std::min(1.0, p[i] * tests);
  } else if (correction == Correction::holm) {
    double running = 0;  // step down: never below the adjusted p of a smaller one
    for (std::size_t rank = 0; rank < m; ++rank) {
      running = std::max(running, p[order[rank]] * static_cast<double>(m - rank));
      adjusted[order[rank]] = std::min(1.0, running);
    }
  } else {
    double factor = tests;
    if (correction == Correction::benjamini_yekutieli) {
      double harmonic = 0;
      for (std::size_t i = 1; i <= m; ++i) harmonic += 1.0 / static_cast<double>(i);
      factor *= harmonic;
    }
    double running = 1;  // step up: never above the adjusted p of a larger one
    for (std::size_t rank = m; rank-- > 0;) {
      running = std::min(running, p[order[rank]] * factor / static_cast<double>(rank + 1));
      adjusted[order[rank]] = running;
    }
  }
  return adjusted;
}

}  // namespace pare
