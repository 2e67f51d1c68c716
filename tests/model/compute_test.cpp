// How a model computes: a name means one arithmetic, and what is quickest stays close to what is exact.
#include "model/compute.h"

#include <cmath>

#include "backends.h"
#include "model/fixture.h"
#include "model/forward.h"
#include "refusal.h"
#include "weights/int_group.h"
#include "weights/low_rank.h"

namespace pare {
namespace {

Tensor logits_of(const Model& m, const std::vector<i32>& ids) {
  Acts acts;
  forward(m, pack_sequences({ids}), acts);
  Tensor logits;
  head(m, acts.out, logits);
  return logits;
}

/// The fixture's model with its layers' weights as integers of 8 bits.
Model with_integers(Model m) {
  for (LayerParams& p : m.params.layers)
    for (Weight* w : {&p.wq, &p.wk, &p.wv, &p.wo, &p.w_gate, &p.w_up, &p.w_down})
      if (w->defined()) *w = quantize_int_group(w->decode_all(), {8, 16});
  return m;
}

TEST(Compute, NamesAnArithmetic) {
  EXPECT_EQ(products_of("exact"), Products::f32);
  EXPECT_EQ(products_of("fast"), Products::fast);
  EXPECT_NE(refusal([] { products_of("quick"); }).find("expected exact or fast"), std::string::npos);
  EXPECT_EQ(compute_key("exact"), "exact");
}

TEST(Compute, TheReportNamesWhatTheProductsAreIn) {
  Model m = with_integers(load_model(fixture::dir("qwen3"), "fast"));
  EXPECT_EQ(arithmetic_of(m), bf16_products_are_native() ? "bf16+w8a8" : "f32+w8a8");
  const Weight& base = m.params.layers[0].wq;
  m.params.layers[0].wq =
      low_rank_weight(base, Tensor::zeros({1, base.cols()}), Tensor::zeros({base.rows(), 1}));
  EXPECT_NE(arithmetic_of(m).find("w8a8"), std::string::npos);
  m.products = Products::f32;
  EXPECT_EQ(arithmetic_of(m), "f32");
}

TEST(Compute, FastIsCloseToExactAndTheSameForAnyBatch) {
  Model m = with_integers(load_model(fixture::dir("qwen3"), "exact"));
  const std::vector<i32> ids = {1, 5, 9, 2, 7, 3, 8, 4};
  const Tensor exact = logits_of(m, ids);
  m.products = Products::fast;
  const Tensor fast = logits_of(m, ids);
  double error = 0, size = 0;
  for (i64 i = 0; i < exact.count(); ++i) {
    error += std::pow(fast.f32()[i] - exact.f32()[i], 2);
    size += std::pow(exact.f32()[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / size), 0.03);

  Acts acts;
  forward(m, pack_sequences({{4, 4, 4}, ids}), acts);
  Tensor both;
  head(m, acts.out, both);
  EXPECT_TRUE(identical(both.rows(3, 3 + static_cast<i64>(ids.size())), fast));
}

}  // namespace
}  // namespace pare
