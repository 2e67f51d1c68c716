// The shifted target makes a method that minimises over H minimise the distance to the dense model's outputs.
#include "compress/shifted_target.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/gptq.h"
#include "compress/gram.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

/// ‖QX̂ − WX‖² in double.
double mismatch(const Tensor& q, const Tensor& changed, const Tensor& w, const Tensor& x) {
  double sum = 0;
  for (i64 t = 0; t < x.dim(0); ++t)
    for (i64 n = 0; n < w.dim(0); ++n) {
      double d = 0;
      for (i64 k = 0; k < w.dim(1); ++k)
        d += static_cast<double>(q.f32()[n * w.dim(1) + k]) * changed.f32()[t * w.dim(1) + k] -
             static_cast<double>(w.f32()[n * w.dim(1) + k]) * x.f32()[t * w.dim(1) + k];
      sum += d * d;
    }
  return sum;
}

/// Inputs of a model, and the same through a changed one: distorted, not only noisy.
struct Mismatch {
  explicit Mismatch(u64 seed) : p(12, 24, 400, seed), changed(p.inputs.clone()) {
    const Tensor noise = ref::normal({400, 24}, seed + 100);
    for (i64 t = 0; t < 400; ++t)
      for (i64 k = 0; k < 24; ++k)
        changed.f32()[t * 24 + k] = 0.8f * p.inputs.f32()[t * 24 + k] +
                                    0.2f * p.inputs.f32()[t * 24 + (k + 1) % 24] +
                                    0.05f * noise.f32()[t * 24 + k];
    Gram gram(24);
    gram.add("x", changed);
    CrossGram cross(24);
    cross.add("x", p.inputs, changed);
    h = gram.matrix(), g = cross.matrix();
  }
  Problem p;
  Tensor changed, h, g;
};

TEST(ShiftedTarget, completes_the_square) {
  const Mismatch m(1);
  const double damping = 1e-6;
  const Tensor target = shifted_target(m.p.w, m.h, m.g, damping, 1);
  // ‖QX̂ − WX‖² − tr((Q−W*) H (Q−W*)ᵀ) is the same for any Q.
  double first = 0;
  for (u64 seed = 0; seed < 5; ++seed) {
    const Tensor q = ref::normal({12, 24}, seed + 7);
    const double constant = mismatch(q, m.changed, m.p.w, m.p.inputs) - gram_loss(q, target, m.h);
    if (seed == 0) first = constant;
    EXPECT_NEAR(constant, first, 2e-3 * std::abs(first));
  }
}

TEST(ShiftedTarget, is_the_weight_itself_where_nothing_was_lost_or_asked_for) {
  const Mismatch m(2);
  const Tensor same = shifted_target(m.p.w, m.h, m.h, 0.01, 1),
               none = shifted_target(m.p.w, m.h, m.g, 0.01, 0);
  for (i64 i = 0; i < same.count(); ++i) {
    EXPECT_EQ(same.f32()[i], m.p.w.f32()[i]);
    EXPECT_EQ(none.f32()[i], m.p.w.f32()[i]);
  }
}

TEST(ShiftedTarget, brings_swept_integers_nearer_to_the_dense_outputs) {
  double plain = 0, shifted = 0;
  for (u64 seed = 3; seed < 8; ++seed) {
    const Mismatch m(seed);
    IntSweepOptions o;
    o.format = {4, 0, true};
    const auto loss = [&](const Tensor& target) {
      return mismatch(sweep_to_integers(target, m.h, o).weight.decode_all(), m.changed, m.p.w, m.p.inputs);
    };
    plain += loss(m.p.w);
    shifted += loss(shifted_target(m.p.w, m.h, m.g, 0.01, 1));
  }
  EXPECT_LT(shifted, 0.5 * plain);
}

}  // namespace
}  // namespace pare
