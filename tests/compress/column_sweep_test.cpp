// The column sweep against its definition, in double where it counts, and against numpy's and GPTQModel's
// results on a layer (fixtures/quant/parity).
#include "compress/column_sweep.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/rng.h"
#include "compress/gptq.h"
#include "compress/gram.h"
#include "compress/int_columns.h"
#include "compress/inverse_factor.h"
#include "compress/masks.h"
#include "io/safetensors.h"
#include "ref/ops.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

/// Inputs that depend on each other, and their Gram matrix.
struct Problem {
  Problem(i64 N, i64 K, i64 T, u64 seed) : w(ref::normal({N, K}, seed)) {
    const Tensor x = ref::normal({T, K}, seed + 1), mix = ref::normal({K, K}, seed + 2);
    inputs = Tensor::zeros({T, K});
    for (i64 t = 0; t < T; ++t)
      for (i64 k = 0; k < K; ++k) {
        float sum = x.f32()[t * K + k];
        for (i64 j = 0; j < K; ++j) sum += 0.2f * x.f32()[t * K + j] * mix.f32()[j * K + k];
        inputs.f32()[t * K + k] = sum;
      }
    Gram gram(K);
    gram.add("test", inputs);
    h = gram.matrix();
  }
  Tensor w, inputs, h;
};

Tensor diagonal_matrix(i64 K) {
  Tensor h = Tensor::zeros({K, K});
  for (i64 k = 0; k < K; ++k) h.f32()[k * K + k] = 0.5f + static_cast<float>(k % 7);
  return h;
}

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

IntSweepOptions options_of(int bits, i64 group, bool symmetric) {
  IntSweepOptions o;
  o.format = {bits, group, symmetric};
  o.least_range = 1;
  return o;
}

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

TEST(Refinement, keeps_a_mask) {
  const Problem p(6, 64, 200, 31);
  Pruning half;
  IntSweepOptions o = options_of(4, 16, false);
  o.refinements = 3;
  const Tensor q = sweep_to_integers(p.w, p.h, o, half).weight.decode_all();
  EXPECT_GE(std::count(q.f32(), q.f32() + q.count(), 0.0f), q.count() / 2);
}

TEST(ColumnSweep, dead_inputs_lose_their_weights) {
  Problem p(5, 40, 100, 3);
  for (i64 j = 0; j < 40; ++j) p.h.f32()[17 * 40 + j] = p.h.f32()[j * 40 + 17] = 0;
  const Tensor q = sweep_to_integers(p.w, p.h, options_of(4, 20, false)).weight.decode_all();
  for (i64 n = 0; n < 5; ++n) EXPECT_EQ(q.f32()[n * 40 + 17], 0);
  for (i64 i = 0; i < q.count(); ++i) EXPECT_TRUE(std::isfinite(q.f32()[i]));
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

// ---- the reference's layer ----

const fs::path kParity = fs::path(PARE_SHARED) / "fixtures/quant/parity";

/// The reference's grids: range over 2^bits − 1 steps in f32, zero in the middle when symmetric.
IntGrid reference_grid(std::span<const float> w, int bits, bool symmetric) {
  const int top = (1 << bits) - 1;
  double low = 0, high = 0;
  for (const float x : w) low = std::min<double>(low, x), high = std::max<double>(high, x);
  if (symmetric) {
    high = std::max(-low, high);
    if (low < 0) low = -high;
  }
  if (low == 0 && high == 0) low = -1, high = 1;
  const double scale = (high - low) / top;
  const int zero = symmetric ? (top + 1) / 2 : static_cast<int>(std::nearbyint(-low / scale));
  return {static_cast<float>(scale), zero, top};
}

constexpr i64 kDead = 11;  // the input that is always zero

/// H times the reference's factor, and its 1 for the dead input, which enters the damping.
Tensor reference_gram(const SafeTensors& file, float factor) {
  Tensor h = file.tensor("H").to_f32();
  for (i64 i = 0; i < h.count(); ++i) h.f32()[i] *= factor;
  h.f32()[kDead * h.dim(0) + kDead] = 1;
  return h;
}

TEST(ColumnSweepGolden, codes_are_those_of_the_reference) {
  if (!fs::exists(kParity)) GTEST_SKIP() << "the shared fixtures are not here";
  const SafeTensors file = SafeTensors::open(kParity / "parity.safetensors");
  const Tensor w = file.tensor("W").to_f32(), gram = file.tensor("H").to_f32(),
               h = reference_gram(file, 2.0f / 512);
  const i64 N = w.dim(0), K = w.dim(1), dead = kDead;
  i64 cases = 0, differ = 0, codes_in_all = 0;
  const json losses = read_json(kParity / "parity.json");
  for (const int bits : {2, 3, 4})
    for (const i64 group : {32, -1})
      for (const bool symmetric : {true, false})
        for (const bool act : {false, true}) {
          const std::string name =
              fmt::format("np.gptq.w{}.g{}.{}{}", bits, group, symmetric ? "sym" : "asym", act ? ".act" : "");
          const auto order = column_order(
              act ? ColumnOrder::activation : ColumnOrder::natural,
              [&] {
                Tensor d = Tensor::empty({K});
                for (i64 k = 0; k < K; ++k) d.f32()[k] = h.f32()[k * K + k];
                return d;
              }(),
              0);
          std::vector<i64> natural(static_cast<std::size_t>(K));
          std::iota(natural.begin(), natural.end(), i64{0});
          Tensor q = reorder_columns(w, order);
          // The reference's groups are runs of the order it sweeps in (it stores an index).
          IntColumns rule(N, ColumnGroups(natural, group), Tensor::zeros({K}), [&](auto weights, auto) {
            return reference_grid(weights, bits, symmetric);
          });
          if (group < 0) rule.fit_all(q);
          for (i64 n = 0; n < N; ++n)
            for (i64 p = 0; p < K; ++p)
              if (order[static_cast<std::size_t>(p)] == dead) q.f32()[n * K + p] = 0;
          column_sweep(q, inverse_factor(reorder_both(h, order), 0.01).u, rule);
          const Tensor ours = restore_columns(rule.codes(), order), theirs = file.tensor(name + ".codes");
          for (i64 i = 0; i < ours.count(); ++i) differ += ours.data<u8>()[i] != theirs.data<u8>()[i];
          codes_in_all += ours.count();
          ++cases;
          // Our own grids, orders and fits, at the same width: no worse than the reference.
          if (act) continue;
          IntSweepOptions own;
          own.format = {bits, group, symmetric};
          own.order = ColumnOrder::grouped;
          const double loss = gram_loss(w, sweep_to_integers(w, gram, own).weight.decode_all(), gram);
          EXPECT_LE(loss, losses["cases"][name]["loss"].get<double>()) << name;
        }
  EXPECT_EQ(cases, 24);
  EXPECT_EQ(differ, 0) << "of " << codes_in_all;
}

TEST(ColumnSweepGolden, sparse_weights_are_those_of_the_reference) {
  if (!fs::exists(kParity)) GTEST_SKIP() << "the shared fixtures are not here";
  const SafeTensors file = SafeTensors::open(kParity / "parity.safetensors");
  Tensor w = file.tensor("W").to_f32();
  const Tensor h = reference_gram(file, 1);
  for (i64 n = 0; n < w.dim(0); ++n) w.f32()[n * w.dim(1) + kDead] = 0;
  for (const bool pattern : {false, true}) {
    const Tensor theirs = file.tensor(pattern ? "ref.sparsegpt.2of4.W" : "ref.sparsegpt.50.W").to_f32();
    const auto zeros = std::count(theirs.f32(), theirs.f32() + theirs.count(), 0.0f);
    Pruning p;
    if (pattern) p.keep = 2, p.of = 4;
    // Without a pattern the reference prunes all up to a threshold: one weight more than half.
    EXPECT_LE(std::abs(zeros - theirs.count() / 2), 1);
    p.sparsity = static_cast<double>(zeros) / static_cast<double>(theirs.count());
    const Tensor ours = sweep_to_sparse(w, h, p, {}).weight.decode_all();
    i64 far = 0;
    for (i64 i = 0; i < ours.count(); ++i)
      far += std::abs(ours.f32()[i] - theirs.f32()[i]) > 2e-6 * (1 + std::abs(theirs.f32()[i]));
    EXPECT_EQ(far, 0) << (pattern ? "2:4" : "50 %");
  }
}

TEST(ColumnSweepGolden, masks_are_those_of_wanda) {
  if (!fs::exists(kParity)) GTEST_SKIP() << "the shared fixtures are not here";
  const SafeTensors file = SafeTensors::open(kParity / "parity.safetensors");
  const Tensor w = file.tensor("W").to_f32(), h = file.tensor("H").to_f32();
  const i64 K = w.dim(1);
  Tensor d = Tensor::empty({K});
  for (i64 k = 0; k < K; ++k) d.f32()[k] = h.f32()[k * K + k];
  const Tensor scores = wanda_scores(w, d);
  const Tensor half = lowest_per_row_mask(scores, 0.5), pattern = n_of_m_mask(scores, 2, 4);
  const auto half_bytes = file.tensor("ref.wanda.50.mask"),
             pattern_bytes = file.tensor("ref.wanda.2of4.mask");
  for (i64 i = 0; i < w.count(); ++i) {
    // The reference's masks say what is pruned.
    ASSERT_NE(half.data<u8>()[i], half_bytes.data<u8>()[i]) << i;
    ASSERT_NE(pattern.data<u8>()[i], pattern_bytes.data<u8>()[i]) << i;
  }
}

}  // namespace
}  // namespace pare
