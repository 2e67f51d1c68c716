// Learned rounding begins as plain rounding, moves codes by one at most, and lowers the loss it gets
// gradients of.
#include "compress/learned_rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "compress/gptq.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

const std::vector<IntGroupOptions> kFormats = {{4, 32, true}, {3, 0, false}, {2, 32, true}, {4, 32, false}};

/// d tr(ΔHΔᵀ) / dŵ = 2ΔH.
Tensor gradient(const Tensor& fake, const Tensor& w, const Tensor& h) {
  const i64 N = w.dim(0), K = w.dim(1);
  Tensor out = Tensor::zeros({N, K});
  for (i64 n = 0; n < N; ++n)
    for (i64 j = 0; j < K; ++j) {
      const float d = 2 * (fake.f32()[n * K + j] - w.f32()[n * K + j]);
      for (i64 k = 0; k < K; ++k) out.f32()[n * K + k] += d * h.f32()[j * K + k];
    }
  return out;
}

TEST(LearnedRounding, begins_as_plain_rounding) {
  const Problem p(9, 40, 60, 1);
  for (const IntGroupOptions& format : kFormats) {
    const Tensor a = LearnedRounding(p.w, format).weight().decode_all(),
                 b = quantize_int_group(p.w, format).decode_all();
    for (i64 i = 0; i < a.count(); ++i)
      EXPECT_NEAR(a.f32()[i], b.f32()[i], 2e-3 * std::abs(b.f32()[i]) + 1e-6);
  }
}

TEST(LearnedRounding, lowers_the_loss_and_moves_codes_by_one) {
  double before = 0, after = 0;
  for (u64 seed = 0; seed < 3; ++seed)
    for (const IntGroupOptions& format : kFormats) {
      const Problem p(12, 64, 200, seed);
      LearnedRounding learned(p.w, format);
      Tensor fake = Tensor::empty(p.w.shape());
      learned.fake(fake);
      before += gram_loss(p.w, fake, p.h);
      const Tensor first = fake.clone();
      constexpr int kSteps = 100;
      for (int i = 0; i < kSteps; ++i) {
        learned.fake(fake);
        learned.step(gradient(fake, p.w, p.h), (1 - static_cast<float>(i) / kSteps) / kSteps);
      }
      after += gram_loss(p.w, learned.weight().decode_all(), p.h);
      const LearnedRounding::State state = learned.state();
      for (const float v : state.v.span<float>()) ASSERT_LE(std::abs(v), 0.5f);
      for (const float c : state.c.span<float>()) ASSERT_TRUE(c >= 0.5f && c <= 1);
    }
  EXPECT_LT(after, 0.9 * before);
}

TEST(LearnedRounding, begins_as_a_packed_weight_whatever_made_it) {
  for (const IntGroupOptions& format : kFormats) {
    const Problem p(12, 64, 200, 5);
    IntSweepOptions o;
    o.format = format;
    for (const Weight& packed : {sweep_to_integers(p.w, p.h, o).weight, quantize_int_group(p.w, format)}) {
      const LearnedRounding learned(p.w, dynamic_cast<const IntGroupWeight&>(packed.format()));
      const Weight same = learned.weight();
      EXPECT_EQ(same.format().name(), packed.format().name());
      const Tensor a = same.decode_all(), b = packed.decode_all();
      for (i64 i = 0; i < a.count(); ++i) ASSERT_EQ(a.f32()[i], b.f32()[i]);
    }
  }
}

TEST(LearnedRounding, lowers_the_loss_of_a_packed_weight_with_scales_between_their_bounds) {
  double before = 0, after = 0;
  for (u64 seed = 0; seed < 3; ++seed)
    for (const IntGroupOptions& format : kFormats) {
      const Problem p(12, 64, 200, seed);
      const Weight packed = quantize_int_group(p.w, format);
      LearnedRounding learned(p.w, dynamic_cast<const IntGroupWeight&>(packed.format()));
      Tensor fake = Tensor::empty(p.w.shape());
      constexpr int kSteps = 100;
      for (int i = 0; i < kSteps; ++i) {
        learned.fake(fake);
        learned.step(gradient(fake, p.w, p.h), (1 - static_cast<float>(i) / kSteps) / kSteps);
      }
      const LearnedRounding::State state = learned.state();
      for (const float c : state.c.span<float>()) ASSERT_TRUE(c >= 0.75f && c <= 1.25f);
      before += gram_loss(p.w, packed.decode_all(), p.h);
      after += gram_loss(p.w, learned.weight().decode_all(), p.h);
    }
  EXPECT_LT(after, 0.9 * before);
}

TEST(LearnedRounding, comes_back_to_a_kept_state) {
  const Problem p(6, 32, 60, 4);
  LearnedRounding learned(p.w, {3, 32, true});
  const Tensor plain = learned.weight().decode_all();
  const LearnedRounding::State start = learned.state();
  for (int i = 0; i < 30; ++i) learned.step(ref::normal({6, 32}, 8), 0.05f);
  const Tensor moved = learned.weight().decode_all();
  learned.set_state(start);
  const Tensor back = learned.weight().decode_all();
  i64 changed = 0;
  for (i64 i = 0; i < plain.count(); ++i) {
    EXPECT_EQ(plain.f32()[i], back.f32()[i]);
    changed += plain.f32()[i] != moved.f32()[i];
  }
  EXPECT_GT(changed, 20);
}

TEST(LearnedRounding, refuses_bad_options_and_numbers) {
  EXPECT_THROW(LearnedRounding(ref::normal({2, 8}, 1), {9, 32, true}), Error);
  Tensor w = ref::normal({2, 8}, 1);
  w.f32()[3] = NAN;
  EXPECT_THROW(LearnedRounding(w, {4, 32, true}), Error);
}

}  // namespace
}  // namespace pare
