// Shares of right answers: intervals of one, tests of two on the same questions, how many questions are
// needed.
//
// Sources: Wilson 1927 (doi 10.1080/01621459.1927.10502953); Clopper & Pearson 1934
// (doi 10.1093/biomet/26.4.404); McNemar 1947 (doi 10.1007/BF02295996), mid-p: Fagerland et al. 2013
// (doi 10.1186/1471-2288-13-91); Connor 1987 (doi 10.2307/2531961); pass@k: Chen et al. 2021,
// arXiv:2107.03374.
#pragma once
#include <cmath>

#include "base/types.h"
#include "eval/statistics.h"

namespace pare {

/// k right of n; `level` is the coverage, e.g. 0.95. n = 0 gives [0, 1]. REQUIRES: 0 ≤ k ≤ n, 0 < level < 1.
Interval wilson_interval(i64 k, i64 n, double level = 0.95);
/// Exact: covers at least `level`. lo is exactly 0 at k = 0, hi exactly 1 at k = n.
Interval clopper_pearson_interval(i64 k, i64 n, double level = 0.95);
Interval agresti_coull_interval(i64 k, i64 n, double level = 0.95);
Interval jeffreys_interval(i64 k, i64 n, double level = 0.95);
/// Wald's, for comparison with other tools only: it has no width at k = 0 and k = n. Clipped to [0, 1].
Interval normal_interval(i64 k, i64 n, double level = 0.95);

/// Two answers to the same questions differ on b + c of them: b only the first has right, c only the second.
///
///   exact_p = min(1, 2·P(X ≤ min(b, c)))      X ~ Binomial(b + c, 1/2)
///   mid_p   = 2·P(X ≤ k) − P(X = k), k = min(b, c);  1 − P(X = k)/2 for b = c;  1 for b + c = 0
///
/// exact_p never lies above its level and is conservative; mid_p is nearer to it (the one to show). chi2_*
/// are the approximations without and with Yates's correction; they are NaN for b + c = 0.
struct McNemar {
  double exact_p = 1, mid_p = 1, chi2_p = NAN, chi2_corrected_p = NAN;
};
McNemar mcnemar(i64 b, i64 c);

/// Questions both answer, needed to see p10 − p01 (the shares where only one is right) at two-sided level
/// `alpha` with power `power`:  n = (z₁₋α/₂·√ψ + z_power·√(ψ − δ²))² / δ²,  ψ = p10 + p01, δ = p10 − p01.
/// Infinite when p10 = p01. Round up.
double required_pairs(double p10, double p01, double alpha = 0.05, double power = 0.8);
/// The power that the exact McNemar test really has with n questions.
double exact_mcnemar_power(double p10, double p01, i64 n, double alpha = 0.05);

/// Questions for each of two *different* question sets, by the arcsine effect (Cohen's h) or by the pooled
/// normal formula. Infinite when p1 = p2.
double cohens_h(double p1, double p2);
double required_unpaired_by_h(double p1, double p2, double alpha = 0.05, double power = 0.8);
double required_unpaired_pooled(double p1, double p2, double alpha = 0.05, double power = 0.8);

/// Chance that at least one of k draws without replacement from n samples, c of them right, is right:
/// 1 − C(n − c, k)/C(n, k). REQUIRES: 0 ≤ c ≤ n, 1 ≤ k ≤ n.
double pass_at_k(i64 n, i64 c, i64 k);

}  // namespace pare
