// The column sweep onto integers and tables, and its refinement, against their definitions.
#include "compress/column_sweep.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

TEST(ColumnSweep, rounds_to_nearest_when_inputs_are_independent) {
  const Tensor w = ref::normal({9, 64}, 4), h = diagonal_matrix(64);
  for (const int bits : {2, 3, 4, 8})
    for (const bool symmetric : {true, false}) {
      const Swept swept = sweep_to_integers(w, h, options_of(bits, 32, symmetric));
      const Tensor q = swept.weight.decode_all(),
                   nearest = quantize_int_group(w, {bits, 32, symmetric}).decode_all();
      for (i64 i = 0; i < q.count(); ++i) ASSERT_EQ(q.f32()[i], nearest.f32()[i]) << i;
    }
}

TEST(ColumnSweep, its_errors_tell_the_whole_loss) {
  const Problem p(16, 150, 400, 7);
  for (const ColumnOrder order : {ColumnOrder::natural, ColumnOrder::activation, ColumnOrder::grouped}) {
    IntSweepOptions o = options_of(3, 50, true);
    o.order = order;
    const Swept swept = sweep_to_integers(p.w, p.h, o);
    Tensor damped = p.h.clone();
    double mean = 0;
    for (i64 k = 0; k < 150; ++k) mean += p.h.f32()[k * 150 + k] / 150.0;
    for (i64 k = 0; k < 150; ++k) damped.f32()[k * 150 + k] += static_cast<float>(swept.damping * mean);
    const double loss = gram_loss(p.w, swept.weight.decode_all(), damped);
    EXPECT_NEAR(swept.loss / loss, 1, 1e-4);
  }
}

TEST(ColumnSweep, does_not_depend_on_its_blocks) {
  const Problem p(24, 130, 300, 11);
  IntSweepOptions o = options_of(4, 26, false);
  const auto codes = [&](i64 block) {
    o.block = block;
    const Swept s = sweep_to_integers(p.w, p.h, o);
    return dynamic_cast<const IntGroupWeight&>(s.weight.format()).unpacked_codes();
  };
  const Tensor all = codes(130);
  for (const i64 block : {1, 26, 40, 128}) {
    const Tensor some = codes(block);
    i64 differ = 0;
    for (i64 i = 0; i < all.count(); ++i) differ += all.data<u8>()[i] != some.data<u8>()[i];
    EXPECT_LE(differ, all.count() / 1000) << block;
  }
}

TEST(ColumnSweep, beats_rounding_on_average_and_a_fitted_range_helps) {
  double nearest = 0, swept = 0, fitted = 0;
  for (u64 seed = 0; seed < 20; ++seed) {
    const Problem p(8, 96, 300, 100 + 10 * seed);
    IntSweepOptions o = options_of(3, 32, true);
    nearest += gram_loss(p.w, quantize_int_group(p.w, o.format).decode_all(), p.h);
    swept += gram_loss(p.w, sweep_to_integers(p.w, p.h, o).weight.decode_all(), p.h);
    o.least_range = 0.5;
    fitted += gram_loss(p.w, sweep_to_integers(p.w, p.h, o).weight.decode_all(), p.h);
  }
  EXPECT_LT(swept, 0.8 * nearest);
  EXPECT_LT(fitted, swept);
}

TEST(Refinement, each_pass_lowers_the_loss_until_nothing_is_left_to_gain) {
  for (const bool symmetric : {true, false})
    for (const i64 group : {24, 0}) {
      const Problem p(16, 96, 300, 71);
      IntSweepOptions o = options_of(3, group, symmetric);
      double before = INFINITY;
      for (const i64 passes : {0, 1, 2, 5, 30}) {
        o.refinements = passes;
        const Swept swept = sweep_to_integers(p.w, p.h, o);
        Tensor damped = p.h.clone();
        double mean = 0;
        for (i64 k = 0; k < 96; ++k) mean += p.h.f32()[k * 97] / 96.0;
        for (i64 k = 0; k < 96; ++k) damped.f32()[k * 97] += static_cast<float>(0.01 * mean);
        const double loss = gram_loss(p.w, swept.weight.decode_all(), damped);
        EXPECT_NEAR(swept.loss / loss, 1, 1e-3);
        EXPECT_LE(loss, before * (1 + 1e-6)) << passes;
        if (passes == 1) EXPECT_LT(loss, 0.97 * before);
        before = loss;
      }
    }
}

TEST(TableSweep, rounds_to_nearest_when_inputs_are_independent_and_beats_it_when_they_are_not) {
  for (const Code4 code : {Code4::nf4, Code4::fp4}) {
    const Tensor w = ref::normal({9, 64}, 4);
    const Tensor q = sweep_to_table(w, diagonal_matrix(64), code, 32, {}).weight.decode_all();
    const Tensor nearest = quantize_codebook4(w, {code, 32, false}).decode_all();
    for (i64 i = 0; i < q.count(); ++i) ASSERT_EQ(q.f32()[i], nearest.f32()[i]) << i;
    double swept = 0, rounded = 0;
    for (u64 seed = 0; seed < 10; ++seed) {
      const Problem p(8, 96, 300, 100 + 10 * seed);
      SweepOptions o;
      o.order = ColumnOrder::grouped;
      swept += gram_loss(p.w, sweep_to_table(p.w, p.h, code, 32, o).weight.decode_all(), p.h);
      rounded += gram_loss(p.w, quantize_codebook4(p.w, {code, 32, false}).decode_all(), p.h);
    }
    EXPECT_LT(swept, 0.8 * rounded);
  }
  EXPECT_THROW(sweep_to_table(ref::normal({3, 40}, 1), diagonal_matrix(40), Code4::nf4, 32, {}), Error);
}

TEST(FloatSweep, rounds_to_nearest_when_inputs_are_independent_and_beats_it_when_they_are_not) {
  for (const FloatScheme scheme :
       {FloatScheme::mxfp4, FloatScheme::nvfp4, FloatScheme::mxfp8, FloatScheme::fp8_row})
    for (const DType values : {DType::f32, DType::bf16, DType::f16}) {
      SCOPED_TRACE(static_cast<int>(scheme) * 10 + static_cast<int>(values));
      const Tensor w = ref::normal({9, 64}, 4).to(values), full = w.to_f32();
      const Weight swept = sweep_to_floats(full, diagonal_matrix(64), scheme, 0, values, {}).weight;
      const Weight nearest = quantize_float_group(w, scheme);
      EXPECT_EQ(swept.format().name(), nearest.format().name());
      const Tensor q = swept.decode_all(), r = nearest.decode_all();
      for (i64 i = 0; i < q.count(); ++i) ASSERT_EQ(q.f32()[i], r.f32()[i]) << i;
    }
  for (const FloatScheme scheme : {FloatScheme::mxfp4, FloatScheme::nvfp4}) {
    double swept = 0, rounded = 0;
    for (u64 seed = 0; seed < 10; ++seed) {
      const Problem p(8, 96, 300, 100 + 10 * seed);
      SweepOptions o;
      o.order = ColumnOrder::grouped;
      swept += gram_loss(p.w, sweep_to_floats(p.w, p.h, scheme, 0, DType::f32, o).weight.decode_all(), p.h);
      rounded += gram_loss(p.w, quantize_float_group(p.w, scheme).decode_all(), p.h);
    }
    EXPECT_LT(swept, 0.8 * rounded);
  }
  EXPECT_THROW(
      sweep_to_floats(ref::normal({3, 40}, 1), diagonal_matrix(40), FloatScheme::mxfp4, 0, DType::f32, {}),
      Error);
}

TEST(ColumnSweep, dead_inputs_lose_their_weights) {
  Problem p(5, 40, 100, 3);
  for (i64 j = 0; j < 40; ++j) p.h.f32()[17 * 40 + j] = p.h.f32()[j * 40 + 17] = 0;
  const Tensor q = sweep_to_integers(p.w, p.h, options_of(4, 20, false)).weight.decode_all();
  for (i64 n = 0; n < 5; ++n) EXPECT_EQ(q.f32()[n * 40 + 17], 0);
  for (i64 i = 0; i < q.count(); ++i) EXPECT_TRUE(std::isfinite(q.f32()[i]));
}

}  // namespace
}  // namespace pare
