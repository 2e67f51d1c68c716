// Scales never make rounding worse on the calibration data, and folding them changes nothing else.
#include "compress/scale_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compress/gram.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

/// Inputs of which a few are large.
struct Salient {
  explicit Salient(u64 seed) : p(24, 64, 300, seed) {
    for (i64 t = 0; t < 300; ++t)
      for (const i64 k : {3, 17, 40}) p.inputs.f32()[t * 64 + k] *= 30;
    gram.add("x", p.inputs);
  }
  Problem p;
  Gram gram{64};
};

TEST(ScaleSearch, is_never_worse_than_rounding_and_far_better_where_inputs_are_salient) {
  for (u64 seed = 0; seed < 4; ++seed) {
    const Salient x(seed);
    for (const auto& format : {IntGroupOptions{4, 32, false}, IntGroupOptions{3, 0, true}}) {
      const Tensor h = x.gram.matrix();
      const ScaleSearch found = search_scales({x.p.w}, h, x.gram.mean_abs(), format);
      const double rounded = gram_loss(x.p.w, quantize_int_group(x.p.w, format).decode_all(), h);
      EXPECT_NEAR(found.tried.front(), rounded, 1e-6 * rounded);
      EXPECT_LE(found.loss, rounded);
      EXPECT_LT(found.loss, 0.6 * rounded);
      EXPECT_GT(found.ratio, 0);
    }
  }
}

TEST(ScaleSearch, finds_the_loss_of_the_outputs) {
  const Salient x(5);
  const IntGroupOptions format{4, 32, false};
  const ScaleSearch found = search_scales({x.p.w}, x.gram.matrix(), x.gram.mean_abs(), format);
  Tensor scaled = x.p.w.clone();
  scale_columns(scaled, found.s);
  const Tensor q = quantize_int_group(scaled, format).decode_all();
  double sum = 0;
  for (i64 t = 0; t < 300; ++t)
    for (i64 n = 0; n < 24; ++n) {
      double d = 0;
      for (i64 k = 0; k < 64; ++k)
        d += (static_cast<double>(q.f32()[n * 64 + k]) / found.s.f32()[k] - x.p.w.f32()[n * 64 + k]) *
             x.p.inputs.f32()[t * 64 + k];
      sum += d * d;
    }
  EXPECT_NEAR(found.loss, sum, 1e-4 * sum);
}

TEST(ScaleSearch, leaves_inputs_of_one_size_alone) {
  const Problem p(8, 32, 100, 1);
  Tensor alike = Tensor::empty({32}), none = Tensor::zeros({32});
  std::fill_n(alike.f32(), 32, 3.0f);
  for (const Tensor& a : {alike, none}) {
    const ScaleSearch found = search_scales({p.w}, p.h, a, {4, 32, true});
    EXPECT_EQ(found.ratio, 0);
    for (i64 k = 0; k < 32; ++k) EXPECT_EQ(found.s.f32()[k], 1);
  }
}

TEST(ScaleSearch, smoothing_moves_the_range_from_inputs_to_weights) {
  const Salient x(2);
  const Tensor s = smoothing_scales({x.p.w}, x.gram.max_abs(), 0.5);
  Tensor w = x.p.w.clone();
  scale_columns(w, s);
  for (const i64 k : {3, 17, 40}) EXPECT_GT(s.f32()[k], 2 * s.f32()[k + 1]);
  // At strength 1/2 both sides end at the same largest magnitude, up to one factor for all.
  std::vector<double> shares;
  for (i64 k = 0; k < 64; ++k) {
    float largest = 0;
    for (i64 n = 0; n < 24; ++n) largest = std::max(largest, std::abs(w.f32()[n * 64 + k]));
    shares.push_back(largest / (x.gram.max_abs().f32()[k] / s.f32()[k]));
  }
  const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
  EXPECT_NEAR(*low / *high, 1, 1e-4);
}

}  // namespace
}  // namespace pare
