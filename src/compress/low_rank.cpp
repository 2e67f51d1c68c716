#include "compress/low_rank.h"

#include <Eigen/Dense>
#include <cmath>

#include "base/threads.h"
#include "compress/inverse_factor.h"
#include "ops/truncated_svd.h"

namespace pare {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix f64_of(const Tensor& t) {
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             t.f32(), t.dim(0), t.dim(1))
      .cast<double>();
}

Tensor f32_of_matrix(const Matrix& m) {
  Tensor t = Tensor::empty({m.rows(), m.cols()});
  for (i64 i = 0; i < m.size(); ++i) t.f32()[i] = static_cast<float>(m.data()[i]);
  return t;
}

/// X in X·L = Y (R, K), in place; L (K, K) lower.
void solve_right(const Tensor& l, Matrix& y) {
  const i64 K = l.dim(0);
  parallel_rows(y.rows(), 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      double* x = y.data() + r * K;
      for (i64 k = K - 1; k >= 0; --k) {
        const float* row = l.f32() + k * K;
        x[k] /= row[k];
        for (i64 j = 0; j < k; ++j) x[j] -= x[k] * row[j];
      }
    }
  });
}

Matrix left_factor(const TruncatedSvd& svd) {
  Matrix b = f64_of(svd.u);
  for (i64 r = 0; r < b.cols(); ++r) b.col(r) *= std::sqrt(svd.s[static_cast<std::size_t>(r)]);
  return b;
}

Matrix right_factor(const TruncatedSvd& svd) {
  Matrix a = f64_of(svd.vt);
  for (i64 r = 0; r < a.rows(); ++r) a.row(r) *= std::sqrt(svd.s[static_cast<std::size_t>(r)]);
  return a;
}

}  // namespace

LowRankPart nearest_low_rank(const Tensor& e, i64 rank) {
  const TruncatedSvd svd = truncated_svd(e, rank);
  return {f32_of_matrix(left_factor(svd)), f32_of_matrix(right_factor(svd)), 0};
}

LowRankPart whitened_low_rank(const Tensor& e, const Tensor& h, double damping, i64 rank) {
  const i64 K = dims<2>("whitened_low_rank", e)[1];
  expect("whitened_low_rank H", h, {K, K});
  const GramFactor factor = gram_factor(h, damping);
  const TruncatedSvd svd = truncated_svd(multiplied(e, Layout::plain, factor.l, Layout::plain), rank);
  Matrix a = right_factor(svd);
  solve_right(factor.l, a);
  return {f32_of_matrix(left_factor(svd)), f32_of_matrix(a), factor.damping};
}

Tensor low_rank_product(const LowRankPart& part) {
  return multiplied(part.b, Layout::plain, part.a, Layout::plain);
}

}  // namespace pare
