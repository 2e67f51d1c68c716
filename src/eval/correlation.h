// Correlations: does a cheap measure rank variants as a dear one does?
//
// Sources: Kendall 1938 (doi 10.1093/biomet/30.1-2.81), ties: Kendall 1945; τ-c: Stuart 1953; Spearman 1904.
#pragma once
#include <cmath>
#include <span>

#include "base/types.h"

namespace pare {

/// NaN where a list is constant or shorter than 2. Lists of different length throw a bug.
double pearson(std::span<const double> x, std::span<const double> y);

struct Spearman {
  double rho = NAN;
  double p = NAN;  // two-sided, by Student's t with n − 2 degrees; NaN for n < 3
};
Spearman spearman(std::span<const double> x, std::span<const double> y);

struct Kendall {
  double tau_b = NAN, tau_c = NAN;
  /// Two-sided. Exact without ties when n ≤ 33 or at most one pair disagrees (or agrees); else normal with
  /// the variance for ties.
  double p = NAN;
};
/// Quadratic in n: meant for lists of variants.
Kendall kendall(std::span<const double> x, std::span<const double> y);

}  // namespace pare
