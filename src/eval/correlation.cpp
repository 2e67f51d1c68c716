#include "eval/correlation.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/error.h"
#include "eval/statistics.h"

namespace pare {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr i64 kMostForExactKendall = 33;

void check(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw bug("correlation of {} and {} values", x.size(), y.size());
}

bool constant(std::span<const double> x) {
  return std::all_of(x.begin(), x.end(), [&](double v) { return v == x[0]; });
}

/// Σ t(t−1)/2, Σ t(t−1)(t−2) and Σ t(t−1)(2t+5) over groups of t equal values.
struct Ties {
  double pairs = 0, triples = 0, variance = 0;
  i64 groups = 0;
};

Ties ties_of(std::span<const double> x) {
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  Ties ties;
  for (std::size_t begin = 0, end; begin < sorted.size(); begin = end) {
    for (end = begin + 1; end < sorted.size() && sorted[end] == sorted[begin];) ++end;
    const double t = static_cast<double>(end - begin);
    ties.pairs += t * (t - 1) / 2;
    ties.triples += t * (t - 1) * (t - 2);
    ties.variance += t * (t - 1) * (2 * t + 5);
    ++ties.groups;
  }
  return ties;
}

/// Twice the chance that a random permutation of n has at most `inversions` of them (its law is symmetric).
double exact_kendall_p(i64 n, i64 inversions) {
  const i64 all = n * (n - 1) / 2, k = std::min(inversions, all - inversions);
  if (2 * k == all) return 1;
  // chance[v]: of v inversions; item j adds 0 … j − 1 of them, each as likely.
  std::vector<double> chance(static_cast<std::size_t>(k + 1), 0.0);
  chance[0] = 1;
  for (i64 j = 2; j <= n; ++j) {
    std::vector<double> next(chance.size(), 0.0);
    double window = 0;
    for (i64 v = 0; v <= k; ++v) {
      window += chance[static_cast<std::size_t>(v)];
      if (v >= j) window -= chance[static_cast<std::size_t>(v - j)];
      next[static_cast<std::size_t>(v)] = window / static_cast<double>(j);
    }
    chance = std::move(next);
  }
  double sum = 0;
  for (const double c : chance) sum += c;
  return std::min(1.0, 2 * sum);
}

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  if (x.size() < 2 || constant(x) || constant(y)) return kNan;
  const double mx = mean(x), my = mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double a = x[i] - mx, b = y[i] - my;
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  // One root: exact ±1 for ranks in perfect order.
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

Spearman spearman(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  Spearman result;
  result.rho = pearson(midranks(x), midranks(y));
  if (std::isnan(result.rho) || x.size() < 3) return result;
  const double degrees = static_cast<double>(x.size()) - 2, left = (1 - result.rho) * (1 + result.rho);
  result.p = left <= 0 ? 0 : 2 * student_sf(std::abs(result.rho) * std::sqrt(degrees / left), degrees);
  return result;
}

Kendall kendall(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  if (x.size() < 2 || constant(x) || constant(y)) return {};
  const i64 n = static_cast<i64>(x.size());
  i64 agree = 0, disagree = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = i + 1; j < x.size(); ++j) {
      const int sx = (x[j] > x[i]) - (x[j] < x[i]), sy = (y[j] > y[i]) - (y[j] < y[i]);
      agree += sx * sy > 0;
      disagree += sx * sy < 0;
    }
  }
  const Ties tx = ties_of(x), ty = ties_of(y);
  const double N = static_cast<double>(n), all = N * (N - 1) / 2;
  const double gap = static_cast<double>(agree - disagree);
  const double classes = static_cast<double>(std::min(tx.groups, ty.groups));
  Kendall result;
  result.tau_b = std::clamp(gap / std::sqrt(all - tx.pairs) / std::sqrt(all - ty.pairs), -1.0, 1.0);
  result.tau_c = 2 * gap / (N * N * (classes - 1) / classes);

  const bool ties = tx.pairs > 0 || ty.pairs > 0;
  if (!ties && (n <= kMostForExactKendall || std::min(agree, disagree) <= 1)) {
    result.p = exact_kendall_p(n, disagree);
    return result;
  }
  const double m = N * (N - 1);
  double variance = (m * (2 * N + 5) - tx.variance - ty.variance) / 18 + 2 * tx.pairs * ty.pairs / m;
  if (n > 2) variance += tx.triples * ty.triples / (9 * m * (N - 2));
  result.p = 2 * normal_sf(std::abs(gap) / std::sqrt(variance));
  return result;
}

}  // namespace pare
