// Random weights: the deviations of the header, the same bits for the same seed and configuration.
#include "train/init.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/tiny.h"

namespace pare {
namespace {

struct Moments {
  double mean = 0, deviation = 0;
};
Moments moments(const Tensor& t) {
  double sum = 0, squares = 0;
  for (const float x : t.span<float>()) sum += x, squares += static_cast<double>(x) * x;
  const double n = static_cast<double>(t.count()), mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean)};
}

Config wide(bool phi) {
  Config c = tiny::config();
  c.D = 128, c.F = 200, c.V = 300, c.H = 4, c.K = 2, c.E = 32, c.L = 3;
  c.qkv_bias = c.o_bias = c.mlp_bias = c.head_bias = true;
  c.window.assign(3, 0);
  if (phi) c.family = "phi", c.norm = Norm::layer, c.mlp = Mlp::gelu_tanh, c.parallel_block = true;
  if (!phi) c.qk_norm = true;
  return c;
}

TEST(RandomParams, HaveTheDeviationsOfTheHeader) {
  for (const bool phi : {false, true}) {
    const Config c = wide(phi);
    const Params p = random_params(c, 1, 0.05);
    int residual = 0;
    each_param(p, c, [&](const std::string& name, const auto& member, const Shape& shape) {
      SCOPED_TRACE(name);
      const Moments m = moments(f32_of(member));
      if (shape.rank() == 1) {
        EXPECT_EQ(m.mean, name.ends_with(".weight") ? 1.0 : 0.0);
        EXPECT_EQ(m.deviation, 0);
        return;
      }
      const bool into_residual =
          name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos ||
          name.find("dense") != std::string::npos || name.find("fc2") != std::string::npos;
      residual += into_residual;
      const double sigma = into_residual ? 0.05 / std::sqrt(2.0 * 3) : 0.05;
      const double n = static_cast<double>(shape.count());
      EXPECT_NEAR(m.mean, 0, 5 * sigma / std::sqrt(n));  // five standard errors
      EXPECT_NEAR(m.deviation, sigma, 5 * sigma / std::sqrt(2 * n));
    });
    EXPECT_EQ(residual, 6);
  }
}

TEST(RandomParams, DependOnTheSeedAlone) {
  const Config c = wide(false);
  const auto of = [&](u64 seed) { return tiny::weights({c, random_params(c, seed)}); };
  const auto first = of(7);
  for_each_thread_count([&] { tiny::expect_identical(of(7), first); });
  const auto other = of(8);
  for (std::size_t i = 0; i < first.size(); ++i)
    EXPECT_EQ(identical(first[i], other[i]), first[i].shape().rank() == 1) << i;
}

TEST(RandomParams, NoTwoTensorsShareNumbers) {
  const auto w = tiny::weights(tiny::model());
  for (std::size_t i = 0; i < w.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (w[i].shape().rank() == 2 && w[j].shape().rank() == 2) {
        EXPECT_NE(w[i].f32()[0], w[j].f32()[0]);
      }
}

TEST(RandomParams, ATiedHeadIsTheEmbedding) {
  const Model m = tiny::model(1, true);
  EXPECT_EQ(f32_of(m.params.head).raw(), f32_of(m.params.embed).raw());
}

}  // namespace
}  // namespace pare
