// The largest singular values and vectors, exact for small matrices and near the best for large ones.
#include "ops/truncated_svd.h"

#include <Eigen/Dense>
#include <Eigen/SVD>
#include <cmath>

#include "backends.h"
#include "ref/ops.h"
#include "refusal.h"

namespace pare {
namespace {

Eigen::MatrixXd f64(const Tensor& t) {
  Eigen::MatrixXd m(t.dim(0), t.dim(1));
  for (i64 i = 0; i < t.count(); ++i) m(i / t.dim(1), i % t.dim(1)) = t.f32()[i];
  return m;
}

Eigen::MatrixXd product(const TruncatedSvd& svd) {
  return f64(svd.u) * Eigen::Map<const Eigen::VectorXd>(svd.s.data(), svd.u.dim(1)).asDiagonal() *
         f64(svd.vt);
}

/// Singular values that fall as 1/i, like those of what rounding leaves beside outliers.
Tensor falling(i64 N, i64 K, u64 seed) {
  const Tensor u = ref::normal({N, N}, seed), v = ref::normal({N, K}, seed + 1);
  Eigen::MatrixXd middle = Eigen::MatrixXd::Zero(N, N);
  for (i64 n = 0; n < N; ++n) middle(n, n) = 1.0 / static_cast<double>(n + 1);
  const Eigen::MatrixXd m = f64(u) * middle * f64(v);
  Tensor out = Tensor::empty({N, K});
  for (i64 i = 0; i < N * K; ++i) out.f32()[i] = static_cast<float>(m(i / K, i % K));
  return out;
}

TEST(TruncatedSvd, OfASmallMatrixIsThatOfTheReference) {
  for (const auto& [N, K] : {std::pair<i64, i64>{13, 40}, {40, 13}}) {
    const Tensor m = ref::normal({N, K}, 1);
    const Eigen::JacobiSVD<Eigen::MatrixXd> reference(f64(m), Eigen::ComputeThinU | Eigen::ComputeThinV);
    const TruncatedSvd svd = truncated_svd(m, 5);
    for (i64 r = 0; r < 5; ++r) {
      EXPECT_NEAR(svd.s[static_cast<std::size_t>(r)], reference.singularValues()[r], 1e-6);
      EXPECT_NEAR(std::fabs(f64(svd.u).col(r).dot(reference.matrixU().col(r))), 1, 1e-6);
      EXPECT_NEAR(std::fabs(f64(svd.vt).row(r).transpose().dot(reference.matrixV().col(r))), 1, 1e-6);
    }
  }
}

TEST(TruncatedSvd, TheRandomisedOneIsWithinOnePercentOfTheBest) {
  for (const Tensor& m : {ref::normal({300, 330}, 4), falling(290, 400, 5)}) {
    const Eigen::VectorXd s = Eigen::BDCSVD<Eigen::MatrixXd>(f64(m)).singularValues();
    for (const i64 rank : {4, 32}) {
      const double best = s.tail(s.size() - rank).squaredNorm();
      const double found = (f64(m) - product(truncated_svd(m, rank))).squaredNorm();
      EXPECT_LE(std::sqrt(found), 1.01 * std::sqrt(best)) << rank;
      EXPECT_GE(std::sqrt(found), (1 - 1e-5) * std::sqrt(best)) << rank;
    }
  }
}

TEST(TruncatedSvd, ImpossibleRanksAreRefused) {
  const Tensor w = ref::normal({4, 6}, 9);
  EXPECT_EQ(refusal([&] { truncated_svd(w, 5); }), "rank is 5, expected 1 to 4 for a matrix of (4, 6)");
  EXPECT_NE(refusal([&] { truncated_svd(w, 0); }).find("rank is 0"), std::string::npos);
}

}  // namespace
}  // namespace pare
