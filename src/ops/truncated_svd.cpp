#include "ops/truncated_svd.h"

#include <Eigen/Dense>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "ops/multiply.h"

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
  Tensor q = orthonormal(multiplied(m, start));  // (N, width)
  for (int i = 0; i < kPowerIterations; ++i) {
    const Tensor z = orthonormal(multiplied(m, Layout::transposed, q, Layout::plain));  // (K, width)
    q = orthonormal(multiplied(m, z));
  }
  TruncatedSvd small = exact_svd(f64_of(multiplied(q, Layout::transposed, m, Layout::plain)), rank);
  small.u = multiplied(q, small.u);
  return small;
}

}  // namespace

TruncatedSvd truncated_svd(const Tensor& m, i64 rank) {
  const auto [N, K] = dims<2>("truncated_svd", m);
  const i64 least = std::min(N, K);
  if (rank < 1 || rank > least)
    throw user_error("rank is {}, expected 1 to {} for a matrix of {}", rank, least, m.shape().text());
  const auto values = m.span<float>();
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }))
    throw user_error("a matrix of {} holds NaN or Inf; is the model damaged?", m.shape().text());
  return least <= kLargestExact || rank > least / 3 ? exact_svd(f64_of(m), rank) : randomised_svd(m, rank);
}

}  // namespace pare
