// Codes, weights and masks of a reference layer: numpy's, GPTQModel's and llm-compressor's results
// (fixtures/quant/parity).
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/json.h"
#include "compress/int_columns.h"
#include "compress/inverse_factor.h"
#include "compress/masks.h"
#include "compress/scale_search.h"
#include "compress/sweep_problem.h"
#include "io/safetensors.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

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

TEST(ColumnSweepGolden, scales_of_inputs_are_those_of_awq) {
  if (!fs::exists(kParity)) GTEST_SKIP() << "the shared fixtures are not here";
  const SafeTensors file = SafeTensors::open(kParity / "parity.safetensors");
  const json theirs = read_json(kParity / "parity.json").at("cases").at("np.awq.w4.g32");
  Gram gram(96);
  gram.add("x", file.tensor("X").to_f32());
  const ScaleSearch ours =
      search_scales({file.tensor("W").to_f32()}, gram.matrix(), gram.mean_abs(), {4, 32, false});
  // The same candidates; grids differ a little (f16 scales, ranges that hold 0), and so do their losses.
  ASSERT_EQ(ours.tried.size(), theirs.at("losses").size());
  for (std::size_t i = 0; i < ours.tried.size(); ++i)
    EXPECT_NEAR(ours.tried[i] / theirs.at("losses")[i].get<double>(), 1, 0.05) << i;
  EXPECT_NEAR(ours.ratio, theirs.at("chosen_ratio").get<double>(), 0.11);
}

}  // namespace
}  // namespace pare
