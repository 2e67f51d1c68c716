// Gram matrices against sums in double, and the factor of their inverse against the matrix.
#include "compress/gram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "compress/inverse_factor.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

TEST(GramMatrix, is_the_sum_over_tokens_and_additive) {
  const Problem p(1, 37, 100, 1);
  Gram halves(37), weighted(37);
  halves.add("a", p.inputs.rows(0, 41)), halves.add("b", p.inputs.rows(41, 100));
  Tensor two = Tensor::empty({100});
  std::fill_n(two.f32(), 100, 2.0f);
  weighted.add("w", p.inputs, two);
  const Tensor h = halves.matrix(), hw = weighted.matrix(), d = halves.diagonal();
  for (i64 i = 0; i < 37; ++i)
    for (i64 j = 0; j < 37; ++j) {
      double sum = 0;
      for (i64 t = 0; t < 100; ++t)
        sum += static_cast<double>(p.inputs.f32()[t * 37 + i]) * p.inputs.f32()[t * 37 + j];
      const double scale = 1e-6 * 100 * (1 + std::abs(sum));
      EXPECT_NEAR(h.f32()[i * 37 + j], sum, scale);
      EXPECT_NEAR(hw.f32()[i * 37 + j], 2 * sum, 2 * scale);
      EXPECT_EQ(h.f32()[i * 37 + j], h.f32()[j * 37 + i]);
      if (i == j) EXPECT_EQ(d.f32()[i], h.f32()[i * 37 + i]);
    }
  EXPECT_EQ(halves.tokens(), 100);
}

TEST(GramMatrix, is_wide_enough_for_several_panels) {
  const Tensor x = ref::normal({50, 1100}, 3);
  Gram gram(1100);
  gram.add("x", x);
  const Tensor h = gram.matrix();
  for (const auto& [i, j] : {std::pair<i64, i64>{0, 0}, {3, 700}, {700, 3}, {1099, 511}, {512, 1099}}) {
    double sum = 0;
    for (i64 t = 0; t < 50; ++t) sum += static_cast<double>(x.f32()[t * 1100 + i]) * x.f32()[t * 1100 + j];
    EXPECT_NEAR(h.f32()[i * 1100 + j], sum, 1e-4);
  }
}

TEST(GramMatrix, refuses_what_is_no_number) {
  Tensor x = ref::normal({4, 8}, 1);
  x.f32()[19] = NAN;
  try {
    Gram(8).add("model.layers.3.mlp", x);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("model.layers.3.mlp: input 3 of token 2"), std::string::npos)
        << e.what();
  }
}

class Factor : public testing::TestWithParam<i64> {};

TEST_P(Factor, inverts_the_damped_matrix) {
  const i64 K = GetParam();
  Tensor h;
  if (K < 2000) {
    h = Problem(1, K, 2 * K, 5).h;
  } else {
    const Tensor x = ref::normal({K / 2, K}, 5);
    Gram gram(K);
    gram.add("x", x);
    h = gram.matrix();
  }
  const InverseFactor f = inverse_factor(h, 0.01);
  EXPECT_EQ(f.damping, 0.01);
  double mean = 0;
  for (i64 k = 0; k < K; ++k) mean += h.f32()[k * K + k] / static_cast<double>(K);
  // (H + λI) · UᵀU · v = v for some vectors v
  for (u64 seed = 1; seed < 4; ++seed) {
    const Tensor v = ref::normal({K}, seed);
    std::vector<double> a(static_cast<std::size_t>(K)), b(a), c(a);
    for (i64 i = 0; i < K; ++i)
      for (i64 j = i; j < K; ++j) a[i] += static_cast<double>(f.u.f32()[i * K + j]) * v.f32()[j];
    for (i64 i = 0; i < K; ++i)
      for (i64 j = i; j < K; ++j) b[j] += static_cast<double>(f.u.f32()[i * K + j]) * a[i];
    double error = 0;
    for (i64 i = 0; i < K; ++i) {
      for (i64 j = 0; j < K; ++j) c[i] += static_cast<double>(h.f32()[i * K + j]) * b[j];
      c[i] += 0.01 * mean * b[i];
      error = std::max(error, std::abs(c[i] - v.f32()[i]));
    }
    EXPECT_LT(error, K > 2048 ? 2e-2 : 1e-3);
  }
}
INSTANTIATE_TEST_SUITE_P(Widths, Factor, testing::Values(1, 7, 96, 500, 2100));

TEST(FactorOfInverse, raises_the_damping_and_names_dead_inputs) {
  Tensor h = Tensor::zeros({3, 3});
  h.f32()[0] = h.f32()[4] = 1, h.f32()[1] = h.f32()[3] = 1.05f;  // an eigenvalue of -0.05
  const InverseFactor f = inverse_factor(h, 0.01);
  EXPECT_EQ(f.damping, 0.1);
  EXPECT_EQ(f.dead, std::vector<i64>{2});
  h.f32()[1] = h.f32()[3] = 5;
  EXPECT_THROW(inverse_factor(h, 0.01), Error);
}

}  // namespace
}  // namespace pare
