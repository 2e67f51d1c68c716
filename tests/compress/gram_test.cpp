// Gram matrices against sums in double, and the factor of their inverse against the matrix.
#include "compress/gram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

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

TEST(GramMatrix, knows_the_mean_and_the_largest_magnitude_of_each_input) {
  const Tensor x = Tensor::of({3, 2}, std::vector<float>{1, -2, -3, 0, 2, 4});
  const Tensor weights = Tensor::of({3}, std::vector<float>{1, 2, 1});
  Gram plain(2), weighted(2);
  plain.add("x", x), weighted.add("x", x, weights);
  EXPECT_FLOAT_EQ(plain.mean_abs().f32()[0], 2);
  EXPECT_FLOAT_EQ(plain.mean_abs().f32()[1], 2);
  EXPECT_FLOAT_EQ(weighted.mean_abs().f32()[0], 9.0f / 4);
  EXPECT_FLOAT_EQ(weighted.mean_abs().f32()[1], 6.0f / 4);
  EXPECT_FLOAT_EQ(weighted.max_abs().f32()[0], 3);
  EXPECT_FLOAT_EQ(weighted.max_abs().f32()[1], 4);
}

TEST(GramMatrix, comes_back_from_its_tensors) {
  const Problem p(1, 13, 40, 1);
  Gram gram(13);
  gram.add("x", p.inputs);
  std::map<std::string, Tensor> kept;
  gram.each_tensor([&](const std::string& name, const Tensor& t) { kept[name] = t; });
  const Gram back = Gram::of_tensors("kept", [&](const std::string& name) { return kept[name]; });
  EXPECT_EQ(back.tokens(), 40);
  const Tensor a = gram.matrix(), b = back.matrix(), m = gram.mean_abs(), n = back.mean_abs();
  for (i64 i = 0; i < a.count(); ++i) EXPECT_EQ(a.f32()[i], b.f32()[i]);
  for (i64 i = 0; i < 13; ++i) {
    EXPECT_NEAR(m.f32()[i], n.f32()[i], 1e-6);
    EXPECT_EQ(gram.max_abs().f32()[i], back.max_abs().f32()[i]);
  }
  kept["h"] = Tensor::empty({5});
  EXPECT_THROW(Gram::of_tensors("kept", [&](const std::string& name) { return kept[name]; }), Error);
}

TEST(GramMatrix, of_one_model_with_another_is_the_sum_over_tokens) {
  const Problem p(1, 19, 60, 1), q(1, 19, 60, 2);
  CrossGram cross(19), same(19);
  cross.add("x", p.inputs.rows(0, 20), q.inputs.rows(0, 20));
  cross.add("x", p.inputs.rows(20, 60), q.inputs.rows(20, 60));
  same.add("x", p.inputs, p.inputs);
  Gram gram(19);
  gram.add("x", p.inputs);
  const Tensor g = cross.matrix(), s = same.matrix(), h = gram.matrix();
  for (i64 i = 0; i < 19; ++i)
    for (i64 j = 0; j < 19; ++j) {
      double sum = 0;
      for (i64 t = 0; t < 60; ++t)
        sum += static_cast<double>(p.inputs.f32()[t * 19 + i]) * q.inputs.f32()[t * 19 + j];
      EXPECT_NEAR(g.f32()[i * 19 + j], sum, 1e-4 * (1 + std::abs(sum)));
      EXPECT_NEAR(s.f32()[i * 19 + j], h.f32()[i * 19 + j], 1e-4 * (1 + std::abs(h.f32()[i * 19 + j])));
    }
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
