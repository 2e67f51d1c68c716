// What must not matter does not: the order inputs lie in, and the units they are measured in.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "compress/column_order.h"
#include "compress/masks.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

TEST(Invariance, a_sorted_sweep_of_a_permuted_problem_is_the_permuted_sweep) {
  const Problem p(32, 96, 300, 1);
  std::vector<i64> order(96);
  std::iota(order.begin(), order.end(), i64{0});
  Rng rng(5);
  shuffle(order, rng);
  IntSweepOptions o = options_of(4, 0, true);
  o.order = ColumnOrder::activation;
  const Tensor direct = sweep_to_integers(p.w, p.h, o).weight.decode_all();
  const Tensor permuted =
      sweep_to_integers(reorder_columns(p.w, order), reorder_both(p.h, order), o).weight.decode_all();
  const Tensor expected = reorder_columns(direct, order);
  i64 different = 0;
  for (i64 i = 0; i < expected.count(); ++i) different += expected.f32()[i] != permuted.f32()[i];
  EXPECT_LE(different, expected.count() / 1000);
}

TEST(Invariance, masks_of_wanda_do_not_know_the_units_of_inputs) {
  const Problem p(16, 64, 100, 2);
  Tensor norms = Tensor::empty({64}), scaled_norms = Tensor::empty({64}), scaled = p.w.clone();
  Rng rng(6);
  for (i64 k = 0; k < 64; ++k) {
    // Powers of two: the scores are the same to the bit.
    const float unit = static_cast<float>(i64{1} << rng.below(6)) / 8;
    norms.f32()[k] = p.h.f32()[k * 64 + k];
    scaled_norms.f32()[k] = norms.f32()[k] * unit * unit;
    for (i64 n = 0; n < 16; ++n) scaled.f32()[n * 64 + k] /= unit;
  }
  const Tensor a = lowest_per_row_mask(wanda_scores(p.w, norms), 0.5),
               b = lowest_per_row_mask(wanda_scores(scaled, scaled_norms), 0.5);
  for (i64 i = 0; i < a.count(); ++i) EXPECT_EQ(a.data<u8>()[i], b.data<u8>()[i]);
}

TEST(Invariance, masks_of_wanda_are_those_of_magnitude_where_inputs_are_alike) {
  const Problem p(16, 64, 100, 3);
  Tensor alike = Tensor::empty({64}), magnitudes = p.w.clone();
  std::fill_n(alike.f32(), 64, 4.0f);
  for (i64 i = 0; i < magnitudes.count(); ++i) magnitudes.f32()[i] = std::abs(magnitudes.f32()[i]);
  const Tensor a = lowest_per_row_mask(wanda_scores(p.w, alike), 0.5),
               b = lowest_per_row_mask(magnitudes, 0.5);
  for (i64 i = 0; i < a.count(); ++i) EXPECT_EQ(a.data<u8>()[i], b.data<u8>()[i]);
}

}  // namespace
}  // namespace pare
