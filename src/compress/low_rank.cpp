#include "compress/low_rank.h"

#include <cmath>

#include "base/threads.h"
#include "compress/inverse_factor.h"
#include "ops/multiply.h"
#include "ops/truncated_svd.h"

namespace pare {
namespace {

/// X in X·L = Y (R, K), in place; Y f64, L (K, K) f32 lower.
void solve_right(const Tensor& l, Tensor& y) {
  const i64 K = l.dim(0);
  parallel_rows(y.dim(0), 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      double* x = y.data<double>() + r * K;
      for (i64 k = K - 1; k >= 0; --k) {
        const float* row = l.f32() + k * K;
        x[k] /= row[k];
        for (i64 j = 0; j < k; ++j) x[j] -= x[k] * row[j];
      }
    }
  });
}

double root_of(const TruncatedSvd& svd, i64 r) { return std::sqrt(svd.s[static_cast<std::size_t>(r)]); }

/// U·√S (N, R) f32.
Tensor left_factor(const TruncatedSvd& svd) {
  Tensor b = svd.u.clone();
  const i64 R = b.dim(1);
  for (i64 i = 0; i < b.count(); ++i) b.f32()[i] = static_cast<float>(b.f32()[i] * root_of(svd, i % R));
  return b;
}

/// √S·Vᵀ (R, K) f64.
Tensor right_factor(const TruncatedSvd& svd) {
  const i64 K = svd.vt.dim(1);
  Tensor a = Tensor::empty(svd.vt.shape(), DType::f64);
  for (i64 i = 0; i < a.count(); ++i) a.data<double>()[i] = svd.vt.f32()[i] * root_of(svd, i / K);
  return a;
}

}  // namespace

LowRankPart nearest_low_rank(const Tensor& e, i64 rank) {
  const TruncatedSvd svd = truncated_svd(e, rank);
  return {left_factor(svd), right_factor(svd).to_f32(), 0};
}

LowRankPart whitened_low_rank(const Tensor& e, const Tensor& h, double damping, i64 rank) {
  const i64 K = dims<2>("whitened_low_rank", e)[1];
  expect("whitened_low_rank H", h, {K, K});
  const GramFactor factor = gram_factor(h, damping);
  const TruncatedSvd svd = truncated_svd(multiplied(e, factor.l), rank);
  Tensor a = right_factor(svd);
  solve_right(factor.l, a);
  return {left_factor(svd), a.to_f32(), factor.damping};
}

Tensor low_rank_product(const LowRankPart& part) { return multiplied(part.b, part.a); }

}  // namespace pare
