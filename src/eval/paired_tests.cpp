#include "eval/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/threads.h"

namespace pare {
namespace {

constexpr i64 kMostForAllFlips = 20;
constexpr i64 kMostForExactCount = 500;

}  // namespace

SignedRanks signed_ranks(std::span<const double> d) {
  std::vector<double> size, kept;
  for (const double v : d) {
    if (v == 0) continue;
    kept.push_back(v);
    size.push_back(std::abs(v));
  }
  SignedRanks result;
  result.n_used = static_cast<i64>(kept.size());
  const std::vector<double> ranks = midranks(size);
  for (std::size_t i = 0; i < kept.size(); ++i) (kept[i] > 0 ? result.w_plus : result.w_minus) += ranks[i];

  std::sort(size.begin(), size.end());
  for (std::size_t begin = 0, end; begin < size.size(); begin = end) {
    for (end = begin + 1; end < size.size() && size[end] == size[begin];) ++end;
    const double t = static_cast<double>(end - begin);
    result.tie_term += t * t * t - t;
  }
  result.ties = result.tie_term > 0;
  return result;
}

double wilcoxon_exact_p(const SignedRanks& ranks, Alternative alternative) {
  const i64 n = ranks.n_used;
  if (ranks.ties || n > kMostForExactCount) {
    throw bug("wilcoxon_exact_p: {} differences{}, needs at most {} without ties",
              n,
              ranks.ties ? " with ties" : "",
              kMostForExactCount);
  }
  const i64 most = n * (n + 1) / 2;
  // chance[w]: of rank sum w under random signs; rank r moves half of the mass up by r.
  std::vector<double> chance(static_cast<std::size_t>(most + 1), 0.0);
  chance[0] = 1;
  for (i64 r = 1; r <= n; ++r) {
    for (i64 w = r * (r + 1) / 2; w >= 0; --w) {
      const double moved = w >= r ? chance[static_cast<std::size_t>(w - r)] : 0.0;
      auto& here = chance[static_cast<std::size_t>(w)];
      here = (here + moved) / 2;
    }
  }
  const auto at_most = [&](i64 w) {
    double sum = 0;
    for (i64 v = 0; v <= w; ++v) sum += chance[static_cast<std::size_t>(v)];
    return std::min(1.0, sum);
  };
  const i64 plus = static_cast<i64>(ranks.w_plus);
  const double less = at_most(plus), greater = at_most(most - plus);  // the law is symmetric
  if (alternative == Alternative::less) return less;
  if (alternative == Alternative::greater) return greater;
  return std::min(1.0, 2 * std::min(less, greater));
}

double wilcoxon_approximate_p(const SignedRanks& ranks, Alternative alternative, bool continuity) {
  const double n = static_cast<double>(ranks.n_used);
  if (ranks.n_used == 0) return 1;
  const double deviation = std::sqrt(n * (n + 1) * (2 * n + 1) / 24 - ranks.tie_term / 48);
  double distance = ranks.w_plus - n * (n + 1) / 4;
  if (continuity) {
    if (alternative == Alternative::two_sided) {
      if (distance != 0) distance -= distance > 0 ? 0.5 : -0.5;
    } else {
      distance -= alternative == Alternative::greater ? 0.5 : -0.5;
    }
  }
  const double z = distance / deviation;
  if (alternative == Alternative::less) return normal_cdf(z);
  if (alternative == Alternative::greater) return normal_sf(z);
  return 2 * normal_sf(std::abs(z));
}

double wilcoxon_p(std::span<const double> d, Alternative alternative) {
  const SignedRanks ranks = signed_ranks(d);
  if (!ranks.ties && ranks.n_used <= 50) return wilcoxon_exact_p(ranks, alternative);
  return wilcoxon_approximate_p(ranks, alternative, /*continuity=*/true);
}

double sign_test_p(std::span<const double> d, Alternative alternative) {
  i64 plus = 0, minus = 0;
  for (const double v : d) {
    plus += v > 0;
    minus += v < 0;
  }
  const i64 n = plus + minus;
  if (n == 0) return 1;
  if (alternative == Alternative::greater) return binomial_at_least(plus, n, 0.5);
  if (alternative == Alternative::less) return binomial_cdf(plus, n, 0.5);
  return std::min(1.0, 2 * binomial_cdf(std::min(plus, minus), n, 0.5));
}

double paired_t_p(std::span<const double> d) {
  if (d.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double n = static_cast<double>(d.size()), deviation = standard_deviation(d), m = mean(d);
  if (deviation == 0) return m == 0 ? 1.0 : 0.0;
  return 2 * student_sf(std::abs(m) / (deviation / std::sqrt(n)), n - 1);
}

Interval paired_t_interval(std::span<const double> d, double level) {
  const double m = mean(d);
  if (d.size() < 2) return {std::nan(""), std::nan("")};
  const double n = static_cast<double>(d.size());
  const double half = student_quantile(0.5 + level / 2, n - 1) * standard_deviation(d) / std::sqrt(n);
  return {m - half, m + half};
}

double sign_flip_p(std::span<const double> d, Alternative alternative, i64 flips, u64 seed) {
  const i64 n = static_cast<i64>(d.size());
  if (n == 0) return 1;
  double seen = 0, scale = 0;
  for (const double v : d) {
    seen += v;
    scale += std::abs(v);
  }
  // Sums of the same numbers in another order of signs differ in the last bits: equal means equal up to
  // those.
  const double slack = 1e-12 * scale;
  const auto is_hit = [&](double sum) {
    if (alternative == Alternative::greater) return sum >= seen - slack;
    if (alternative == Alternative::less) return sum <= seen + slack;
    return std::abs(sum) >= std::abs(seen) - slack;
  };
  const auto flipped_sum = [&](auto&& negative) {
    double sum = 0;
    for (i64 i = 0; i < n; ++i)
      sum += negative(i) ? -d[static_cast<std::size_t>(i)] : d[static_cast<std::size_t>(i)];
    return sum;
  };

  if (n <= kMostForAllFlips) {
    i64 hits = 0;
    for (i64 signs = 0; signs < i64{1} << n; ++signs)
      hits += is_hit(flipped_sum([&](i64 i) { return signs >> i & 1; }));
    return static_cast<double>(hits) / static_cast<double>(i64{1} << n);
  }
  std::vector<char> hit(static_cast<std::size_t>(flips), 0);
  parallel_rows(flips, 256, [&](i64 begin, i64 end) {
    for (i64 flip = begin; flip < end; ++flip) {
      Rng rng(seed, static_cast<u64>(flip));
      u32 bits = 0;
      const double sum = flipped_sum([&](i64 i) {
        if (i % 32 == 0) bits = rng.next_u32();
        return bits >> (i % 32) & 1;
      });
      hit[static_cast<std::size_t>(flip)] = is_hit(sum);
    }
  });
  const i64 hits = std::count(hit.begin(), hit.end(), 1);
  return static_cast<double>(1 + hits) / static_cast<double>(1 + flips);
}

}  // namespace pare
