// Pruning in a sweep, with integers and without, and the repair of what is kept.
#include <gtest/gtest.h>

#include <cmath>

#include "backends.h"
#include "compress/inverse_factor.h"
#include "compress/masked_least_squares.h"
#include "compress/masks.h"
#include "compress/sweep_problem.h"

namespace pare {
namespace {

TEST(Refinement, keeps_a_mask) {
  const Problem p(6, 64, 200, 31);
  Pruning half;
  IntSweepOptions o = options_of(4, 16, false);
  o.refinements = 3;
  const Tensor q = sweep_to_integers(p.w, p.h, o, half).weight.decode_all();
  EXPECT_GE(std::count(q.f32(), q.f32() + q.count(), 0.0f), q.count() / 2);
}

TEST(SparseSweep, no_sparsity_changes_nothing_and_budgets_are_exact) {
  const Problem p(12, 90, 200, 21);
  Pruning none;
  none.sparsity = 0;
  const Tensor same = sweep_to_sparse(p.w, p.h, none, {}).weight.decode_all();
  for (i64 i = 0; i < same.count(); ++i) EXPECT_EQ(same.f32()[i], p.w.f32()[i]);
  Pruning half;
  const Tensor sparse = sweep_to_sparse(p.w, p.h, half, {}).weight.decode_all();
  EXPECT_EQ(std::count(sparse.f32(), sparse.f32() + sparse.count(), 0.0f), sparse.count() / 2);
  Tensor masked = p.w.clone();
  for (i64 i = 0; i < masked.count(); ++i) masked.f32()[i] *= sparse.f32()[i] != 0;
  EXPECT_LT(gram_loss(p.w, sparse, p.h), gram_loss(p.w, masked, p.h));
}

TEST(SparseSweep, patterns_hold_in_every_group_also_with_integers) {
  const Problem p(12, 96, 200, 22);
  Pruning pattern;
  pattern.keep = 2, pattern.of = 4;
  for (const bool integers : {false, true}) {
    const Tensor q = integers
                         ? sweep_to_integers(p.w, p.h, options_of(4, 32, false), pattern).weight.decode_all()
                         : sweep_to_sparse(p.w, p.h, pattern, {}).weight.decode_all();
    for (i64 i = 0; i < q.count(); i += 4) EXPECT_GE(std::count(q.f32() + i, q.f32() + i + 4, 0.0f), 2);
  }
}

TEST(SparseSweep, pruning_and_rounding_at_once_beats_one_after_the_other) {
  double joint = 0, in_turn = 0;
  for (u64 seed = 0; seed < 10; ++seed) {
    const Problem p(16, 96, 300, 500 + 10 * seed);
    const IntSweepOptions o = options_of(4, 32, true);
    joint += gram_loss(p.w, sweep_to_integers(p.w, p.h, o, Pruning{}).weight.decode_all(), p.h);
    const Tensor sparse = sweep_to_sparse(p.w, p.h, {}, {}).weight.decode_all();
    Tensor rounded = quantize_int_group(sparse, o.format).decode_all();
    in_turn += gram_loss(p.w, rounded, p.h);
  }
  EXPECT_LT(joint, in_turn);
}

TEST(Repair, ends_where_the_gradient_on_the_mask_is_zero) {
  const Problem p(8, 96, 300, 61);
  const Tensor sparse = sweep_to_sparse(p.w, p.h, {}, {}).weight.decode_all(), mask = nonzero_mask(sparse);
  Tensor v = p.w.clone();
  apply_mask(mask, v);
  double before = gram_loss(p.w, v, p.h);
  EXPECT_GT(before, gram_loss(p.w, sparse, p.h));
  for (const i64 iterations : {1, 2, 5, 20, 60}) {
    Tensor next = v.clone();
    const double loss = masked_least_squares(next, p.w, mask, p.h, iterations);
    EXPECT_NEAR(loss / gram_loss(p.w, next, p.h), 1, 1e-3);
    EXPECT_LE(loss, before * (1 + 1e-6));
    before = loss;
    if (iterations < 60) continue;
    EXPECT_LT(loss, 0.95 * gram_loss(p.w, sparse, p.h));
    double gradient = 0, scale = 0;
    for (i64 n = 0; n < 8; ++n)
      for (i64 k = 0; k < 96; ++k) {
        double g = 0, whole = 0;
        for (i64 j = 0; j < 96; ++j) {
          g += (static_cast<double>(p.w.f32()[n * 96 + j]) - next.f32()[n * 96 + j]) * p.h.f32()[j * 96 + k];
          whole += static_cast<double>(p.w.f32()[n * 96 + j]) * p.h.f32()[j * 96 + k];
        }
        scale = std::max(scale, std::abs(whole));
        if (mask.data<u8>()[n * 96 + k])
          gradient = std::max(gradient, std::abs(g));
        else
          EXPECT_EQ(next.f32()[n * 96 + k], 0);
      }
    EXPECT_LT(gradient, 1e-4 * scale);
  }
  Tensor all = Tensor::empty({8, 96}, DType::u8);
  std::fill_n(all.data<u8>(), all.count(), u8{1});
  Tensor zero = Tensor::zeros({8, 96});
  const double left = masked_least_squares(zero, p.w, all, p.h, 300);
  EXPECT_LT(std::abs(left), 1e-5 * gram_loss(p.w, Tensor::zeros({8, 96}), p.h));
}

/// The sweep of one column after the other, in f64, every third weight pruned; and its Σ e².
double plain_sweep(std::vector<double>& w, const Tensor& u, i64 N, i64 K) {
  double loss = 0;
  for (i64 n = 0; n < N; ++n)
    for (i64 k = 0; k < K; ++k) {
      double* row = w.data() + n * K;
      if ((n + k) % 3 != 0) continue;
      const double e = row[k] / u.f32()[k * K + k];
      for (i64 j = k; j < K; ++j) row[j] -= e * u.f32()[k * K + j];
      loss += e * e;
    }
  return loss;
}

TEST(SparseSweep, tiles_strips_and_blocks_are_the_plain_sweep_on_every_tier_with_any_threads) {
  constexpr i64 N = 101, K = 90;  // two tiles and a part, strips and register tiles cut short
  const Problem p(N, K, 400, 41);
  const InverseFactor f = inverse_factor(p.h, 0.01);
  Pruning third;
  third.mask = Tensor::empty({N, K}, DType::u8);
  for (i64 i = 0; i < N * K; ++i) third.mask.data<u8>()[i] = (i / K + i % K) % 3 != 0;
  std::vector<double> plain(p.w.f32(), p.w.f32() + N * K);
  const double plain_loss = plain_sweep(plain, f.u, N, K);
  for (const i64 block : {1, 40, 90})
    for_each_isa([&] {
      Tensor first;
      for_each_thread_count([&] {
        Tensor q = p.w.clone();
        PrunedColumns rule(N, K, third, nullptr);
        const double loss = column_sweep(q, f.u, rule, block).loss;
        EXPECT_NEAR(loss / plain_loss, 1, 1e-4);
        if (!first.defined()) first = q;
        EXPECT_TRUE(identical(q, first));
      });
      // f32: some 90 corrections of each weight, which are some units large
      for (i64 i = 0; i < N * K; ++i)
        ASSERT_NEAR(first.f32()[i], plain[static_cast<std::size_t>(i)], 2e-4) << block << ", " << i;
    });
}

TEST(SparseSweep, a_mask_is_kept_in_any_order) {
  const Problem p(6, 64, 200, 31);
  Pruning fixed;
  fixed.mask = Tensor::empty({6, 64}, DType::u8);
  for (i64 i = 0; i < 6 * 64; ++i) fixed.mask.data<u8>()[i] = i % 3 != 0;
  IntSweepOptions o = options_of(4, 16, true);
  for (const ColumnOrder order : {ColumnOrder::natural, ColumnOrder::grouped, ColumnOrder::activation}) {
    o.order = order;
    const Tensor q = sweep_to_integers(p.w, p.h, o, fixed).weight.decode_all();
    for (i64 i = 0; i < q.count(); i += 3) EXPECT_EQ(q.f32()[i], 0);
  }
}

}  // namespace
}  // namespace pare
