#include "compress/low_rank.h"

#include <Eigen/Dense>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "base/threads.h"
#include "compress/inverse_factor.h"
#include "ops/gemm.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kLargestExact = 256;  // of the smaller dimension: below, f64 takes no time worth saving
constexpr i64 kOversampling = 16;
constexpr int kPowerIterations = 4;
constexpr u64 kSeed = 0x10e8;  // a fixed one: the result is a function of the matrix

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

/// A·B, either one as it lies or transposed.
Tensor multiply(const Tensor& a, Layout layout_a, const Tensor& b, Layout layout_b) {
  const i64 M = layout_a == Layout::plain ? a.dim(0) : a.dim(1), K = a.dim(layout_a == Layout::plain ? 1 : 0);
  const i64 N = layout_b == Layout::plain ? b.dim(1) : b.dim(0);
  Tensor c = Tensor::empty({M, N});
  GemmB right;
  right.data = b.f32(), right.stride = b.dim(1), right.layout = layout_b;
  gemm(M, N, K, {a.f32(), a.dim(1), layout_a}, right, c.f32(), N, Result::write);
  return c;
}

/// An orthonormal basis of the columns.
Tensor orthonormal(const Tensor& t) {
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(f64_of(t));
  return f32_of_matrix(qr.householderQ() * Eigen::MatrixXd::Identity(t.dim(0), t.dim(1)));
}

/// Cut to the rank.
TruncatedSvd exact_svd(const Matrix& m, i64 rank) {
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
  TruncatedSvd out{f32_of_matrix(svd.matrixU().leftCols(rank)),
                   f32_of_matrix(svd.matrixV().leftCols(rank).transpose()),
                   {}};
  for (i64 r = 0; r < rank; ++r) out.s.push_back(svd.singularValues()[r]);
  return out;
}

TruncatedSvd randomised_svd(const Tensor& m, i64 rank) {
  const i64 width = std::min(rank + kOversampling, std::min(m.dim(0), m.dim(1)));
  Tensor start = Tensor::empty({m.dim(1), width});
  Rng rng(kSeed);
  for (i64 i = 0; i < start.count(); ++i) start.f32()[i] = static_cast<float>(rng.normal());
  Tensor q = orthonormal(multiply(m, Layout::plain, start, Layout::plain));  // (N, width)
  for (int i = 0; i < kPowerIterations; ++i) {
    const Tensor z = orthonormal(multiply(m, Layout::transposed, q, Layout::plain));  // (K, width)
    q = orthonormal(multiply(m, Layout::plain, z, Layout::plain));
  }
  TruncatedSvd small = exact_svd(f64_of(multiply(q, Layout::transposed, m, Layout::plain)), rank);
  small.u = multiply(q, Layout::plain, small.u, Layout::plain);
  return small;
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

TruncatedSvd truncated_svd(const Tensor& m, i64 rank) {
  const auto [N, K] = dims<2>("truncated_svd", m);
  const i64 least = std::min(N, K);
  if (rank < 1 || rank > least)
    throw user_error("rank is {}, expected 1 to {} for a matrix of {}", rank, least, m.shape().text());
  expect_finite_weight("truncated_svd", m);
  return least <= kLargestExact || rank > least / 3 ? exact_svd(f64_of(m), rank) : randomised_svd(m, rank);
}

LowRankPart nearest_low_rank(const Tensor& e, i64 rank) {
  const TruncatedSvd svd = truncated_svd(e, rank);
  return {f32_of_matrix(left_factor(svd)), f32_of_matrix(right_factor(svd)), 0};
}

LowRankPart whitened_low_rank(const Tensor& e, const Tensor& h, double damping, i64 rank) {
  const i64 K = dims<2>("whitened_low_rank", e)[1];
  expect("whitened_low_rank H", h, {K, K});
  const GramFactor factor = gram_factor(h, damping);
  const TruncatedSvd svd = truncated_svd(multiply(e, Layout::plain, factor.l, Layout::plain), rank);
  Matrix a = right_factor(svd);
  solve_right(factor.l, a);
  return {f32_of_matrix(left_factor(svd)), f32_of_matrix(a), factor.damping};
}

Tensor low_rank_product(const LowRankPart& part) {
  return multiply(part.b, Layout::plain, part.a, Layout::plain);
}

}  // namespace pare
