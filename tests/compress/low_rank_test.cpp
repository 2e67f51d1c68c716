// The low-rank part that is kept is the best there is: in the plain norm, and in the norm of a layer's
// inputs.
#include "compress/low_rank.h"

#include <Eigen/Dense>
#include <Eigen/SVD>
#include <cmath>

#include "backends.h"
#include "compress/inverse_factor.h"
#include "sweep_problem.h"

namespace pare {
namespace {

constexpr double kDamping = 0.01;

Tensor identity(i64 K) {
  Tensor h = Tensor::zeros({K, K});
  for (i64 k = 0; k < K; ++k) h.f32()[k * K + k] = 1;
  return h;
}

Eigen::MatrixXd f64(const Tensor& t) {
  Eigen::MatrixXd m(t.dim(0), t.dim(1));
  for (i64 i = 0; i < t.count(); ++i) m(i / t.dim(1), i % t.dim(1)) = t.f32()[i];
  return m;
}

/// tr((E−BA) H (E−BA)ᵀ)
double loss(const Tensor& e, const LowRankPart& part, const Tensor& h) {
  const Eigen::MatrixXd d = f64(e) - f64(part.b) * f64(part.a);
  return (d * f64(h)).cwiseProduct(d).sum();
}

/// Σ s² behind the first `rank` singular values of E·L, LLᵀ = H.
double tail(const Tensor& e, const Tensor& h, i64 rank) {
  const Eigen::MatrixXd l = f64(h).llt().matrixL();
  const Eigen::VectorXd s = Eigen::JacobiSVD<Eigen::MatrixXd>(f64(e) * l).singularValues();
  return s.tail(s.size() - rank).squaredNorm();
}

TEST(LowRankPart, LosesTheSquaresOfTheSingularValuesThatAreCutOff) {
  const Problem p(24, 40, 300, 1);
  const Tensor damped = damped_gram(p.h, kDamping);
  for (const i64 rank : {1, 5, 16, 23}) {
    const double expected = tail(p.w, damped, rank);
    EXPECT_NEAR(loss(p.w, whitened_low_rank(p.w, p.h, kDamping, rank), damped), expected, 1e-6 * expected);
    const double plain = tail(p.w, identity(40), rank);
    EXPECT_NEAR(loss(p.w, nearest_low_rank(p.w, rank), identity(40)), plain, 1e-6 * plain);
  }
}

TEST(LowRankPart, InputsThatAreAllAlikeChangeNothing) {
  const Tensor w = ref::normal({30, 20}, 2);
  const Tensor plain = low_rank_product(nearest_low_rank(w, 7));
  const Tensor whitened = low_rank_product(whitened_low_rank(w, identity(20), kDamping, 7));
  for (i64 i = 0; i < w.count(); ++i) EXPECT_NEAR(whitened.f32()[i], plain.f32()[i], 2e-6);
}

TEST(LowRankPart, OfFullRankIsTheMatrix) {
  for (const auto& [N, K] : {std::pair<i64, i64>{12, 40}, {40, 12}}) {
    const Problem p(N, K, 200, 3);
    const Tensor damped = damped_gram(p.h, kDamping);
    const double power = loss(p.w, {Tensor::zeros({N, 1}), Tensor::zeros({1, K}), 0}, damped);
    EXPECT_LT(loss(p.w, whitened_low_rank(p.w, p.h, kDamping, 12), damped), 1e-10 * power);
    EXPECT_LT(loss(p.w, nearest_low_rank(p.w, 12), identity(K)), 1e-12 * power);
  }
}

TEST(LowRankPart, SeenThroughTheInputsIsNoWorseThanThePlainOne) {
  for (u64 seed = 10; seed < 14; ++seed) {
    const Problem p(24, 40, 300, seed);
    const Tensor damped = damped_gram(p.h, kDamping);
    const double whitened = loss(p.w, whitened_low_rank(p.w, p.h, kDamping, 6), damped);
    EXPECT_LT(whitened, 0.95 * loss(p.w, nearest_low_rank(p.w, 6), damped));
  }
}

TEST(LowRankPart, HasTheSameBitsForAnyNumberOfThreads) {
  const Tensor m = ref::normal({300, 280}, 6), h = diagonal_matrix(280);
  const LowRankPart plain = nearest_low_rank(m, 8), whitened = whitened_low_rank(m, h, kDamping, 8);
  for (const int count : {1, 3}) {
    set_threads(count);
    EXPECT_TRUE(identical(nearest_low_rank(m, 8).a, plain.a));
    EXPECT_TRUE(identical(whitened_low_rank(m, h, kDamping, 8).a, whitened.a));
    EXPECT_TRUE(identical(whitened_low_rank(m, h, kDamping, 8).b, whitened.b));
  }
  set_threads(0);
}

TEST(LowRankPart, ADeadInputIsNoObstacle) {
  Problem p(10, 20, 100, 7);
  for (i64 k = 0; k < 20; ++k) p.h.f32()[3 * 20 + k] = p.h.f32()[k * 20 + 3] = 0;
  const Tensor part = low_rank_product(whitened_low_rank(p.w, p.h, kDamping, 4));
  for (const float x : part.span<float>()) ASSERT_TRUE(std::isfinite(x));
}

TEST(LowRankPart, TheFactorOfAWideGramMatrixIsItsRoot) {
  const i64 K = 2100;  // beyond what is factored in f64
  Gram gram(K);
  gram.add("test", ref::normal({64, K}, 8));
  const Tensor h = gram.matrix(), damped = damped_gram(h, 0.1);
  const Tensor l = gram_factor(h, 0.1).l;
  for (i64 i = 0; i < K; i += 97)
    for (i64 j = 0; j <= i; j += 83) {
      double sum = 0;
      for (i64 k = 0; k <= j; ++k) sum += static_cast<double>(l.f32()[i * K + k]) * l.f32()[j * K + k];
      ASSERT_NEAR(sum, damped.f32()[i * K + j], 1e-3) << i << " " << j;
      ASSERT_EQ(i == j ? 0 : l.f32()[j * K + i], 0);
    }
}

}  // namespace
}  // namespace pare
