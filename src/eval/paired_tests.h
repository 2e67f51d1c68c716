// Tests on paired differences d[i] = variant[i] − baseline[i] over the same questions.
//
// Sources: Wilcoxon 1945 (doi 10.2307/3001968); sign test and sign-flip permutation: Fisher 1935, "The Design
// of Experiments". For right/wrong answers use mcnemar() of eval/proportions.h: it is the sign test with a
// better p.
#pragma once
#include <span>

#include "base/types.h"
#include "eval/statistics.h"

namespace pare {

/// `greater`: the differences tend to lie above 0.
enum class Alternative { two_sided, greater, less };

/// Zeros are dropped; |d| share midranks. w_plus and w_minus are the sums of the ranks of positive and
/// negative d.
struct SignedRanks {
  double w_plus = 0, w_minus = 0;
  i64 n_used = 0;
  bool ties = false;
  double tie_term = 0;  // Σ t³ − t over groups of equal |d|
};
SignedRanks signed_ranks(std::span<const double> d);

/// Exact: all 2ⁿ signs, by counting. 1 when nothing is left after dropping zeros.
/// REQUIRES: no ties and n_used ≤ 500; otherwise throws a bug.
double wilcoxon_exact_p(const SignedRanks& ranks, Alternative alternative = Alternative::two_sided);
/// Normal approximation with the correction for ties, `continuity` adds that of ½ towards the mean.
double wilcoxon_approximate_p(const SignedRanks& ranks,
                              Alternative alternative = Alternative::two_sided,
                              bool continuity = false);
/// The exact p where it can be had (no ties, n_used ≤ 50), else the approximation with continuity correction.
double wilcoxon_p(std::span<const double> d, Alternative alternative = Alternative::two_sided);

/// Exact binomial on the differences that are not 0. 1 when all are.
double sign_test_p(std::span<const double> d, Alternative alternative = Alternative::two_sided);

/// Student's t of the mean difference. NaN for n < 2.
double paired_t_p(std::span<const double> d);
Interval paired_t_interval(std::span<const double> d, double level = 0.95);

/// Share of sign flips whose mean is at least as far out as the one seen. All 2ⁿ flips for n ≤ 20; beyond
/// that `flips` random ones and p = (1 + hits)/(1 + flips), the same bits for any number of threads.
double sign_flip_p(std::span<const double> d,
                   Alternative alternative = Alternative::two_sided,
                   i64 flips = 100000,
                   u64 seed = 0);

}  // namespace pare
