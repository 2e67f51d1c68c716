#include "compress/gptq.h"

#include "base/error.h"
#include "base/threads.h"
#include "compress/float_columns.h"
#include "compress/int_columns.h"
#include "compress/inverse_factor.h"
#include "compress/masked_least_squares.h"
#include "compress/masks.h"
#include "compress/refine_integers.h"
#include "compress/table_columns.h"
#include "ops/multiply.h"
#include "weights/bits.h"
#include "weights/read_options.h"

namespace pare {
namespace {

/// What a sweep starts from: columns in its order, dead inputs without weights.
struct Start {
  std::vector<i64> order;
  Tensor w, importance;
  InverseFactor factor;
};

Tensor diagonal_of(const Tensor& h) {
  const i64 K = h.dim(0);
  Tensor d = Tensor::empty({K});
  for (i64 k = 0; k < K; ++k) d.f32()[k] = h.f32()[k * K + k];
  return d;
}

Start start(const Tensor& w, const Tensor& h, const SweepOptions& o, i64 group) {
  const auto [N, K] = dims<2>("column sweep", w);
  expect("column sweep", h, {K, K});
  expect_finite_weight("column sweep", w);
  Start s;
  s.order = column_order(o.order, diagonal_of(h), group);
  s.w = reorder_columns(w, s.order);
  const Tensor ordered = o.order == ColumnOrder::natural ? h : reorder_both(h, s.order);
  s.importance = diagonal_of(ordered);
  s.factor = inverse_factor(ordered, o.damping);
  for (const i64 k : s.factor.dead)
    for (i64 n = 0; n < N; ++n) s.w.f32()[n * K + k] = 0;
  return s;
}

std::optional<Pruning> ordered(const std::optional<Pruning>& pruning, const Start& s, ColumnOrder order) {
  if (!pruning || order == ColumnOrder::natural) return pruning;
  if (!pruning->mask.defined())
    throw user_error("pruning while sweeping needs the natural order of columns, or a mask");
  Pruning out = *pruning;
  out.mask = reorder_columns(pruning->mask, s.order);
  return out;
}

struct Chosen {
  Integers integers;  // in the order of the weight
  Tensor mask;
  double loss = 0;
};

Chosen to_integers(const Start& s,
                   const IntSweepOptions& o,
                   const std::optional<Pruning>& pruning,
                   DType scale_dtype,
                   bool& fits) {
  const i64 N = s.w.dim(0), K = s.w.dim(1);
  const IntFitOptions fit{o.format.bits, o.format.symmetric, scale_dtype, o.least_range};
  IntColumns integers(
      N, ColumnGroups(s.order, o.format.group), s.importance, [&](auto weights, auto importance) {
        return fit_int_grid_to(weights, importance, fit);
      });
  Tensor w = s.w.clone();
  if (o.order == ColumnOrder::activation) integers.fit_all(w);
  SweepResult result;
  Tensor mask;
  if (pruning) {
    PrunedColumns pruned(N, K, *pruning, &integers);
    result = column_sweep(w, s.factor.u, pruned, o.block);
    mask = pruned.mask();
  } else {
    result = column_sweep(w, s.factor.u, integers, o.block);
  }
  fits = integers.fit_f16();
  return {{restore_columns(integers.codes(), s.order),
           integers.scales(),
           integers.zeros(),
           o.format.bits,
           o.format.group,
           scale_dtype},
          pruning ? restore_columns(mask, s.order) : Tensor(),
          result.loss};
}

void refine(Chosen& chosen, const Tensor& w, const Tensor& h, const IntSweepOptions& o, double damping) {
  if (o.refinements == 0) return;
  const Tensor damped = damped_gram(h, damping);
  for (i64 i = 0; i < o.refinements; ++i)
    chosen.loss = refine_integers(chosen.integers, w, damped, chosen.mask);
}

}  // namespace

Swept sweep_to_integers(const Tensor& w,
                        const Tensor& h,
                        const IntSweepOptions& o,
                        const std::optional<Pruning>& pruning) {
  const Start s = start(w, h, o, o.format.group);
  const std::optional<Pruning> in_order = ordered(pruning, s, o.order);
  bool fits = true;
  Chosen chosen = to_integers(s, o, in_order, DType::f16, fits);
  if (!fits) chosen = to_integers(s, o, in_order, DType::bf16, fits);
  refine(chosen, restore_columns(s.w, s.order), h, o, s.factor.damping);
  const Integers& q = chosen.integers;
  return {int_group_weight("column sweep",
                           q.codes,
                           q.scales.to(q.scale_dtype),
                           o.format.symmetric ? Tensor() : q.zeros,
                           o.format),
          chosen.loss,
          s.factor.damping};
}

Swept sweep_to_table(const Tensor& w, const Tensor& h, Code4 code, i64 block, const SweepOptions& o) {
  const auto [N, K] = dims<2>("sweep_to_table", w);
  if (o.order == ColumnOrder::activation) throw bug("sweep_to_table: the order tears blocks apart");
  if (block <= 0 || K % block != 0)
    throw user_error("{} inputs are no whole number of blocks of {}: choose another block", K, block);
  Start s = start(w, h, o, block);
  TableColumns table(N, K, ColumnGroups(s.order, block), code);
  const SweepResult result = column_sweep(s.w, s.factor.u, table, o.block);
  const Tensor codes = restore_columns(table.codes(), s.order);
  Codebook4Weight::Parts parts;
  parts.codes = Tensor::zeros({(N * K + 1) / 2}, DType::u8);
  for (i64 i = 0; i < N * K; ++i)
    parts.codes.data<u8>()[i / 2] |= static_cast<u8>(codes.data<u8>()[i] << (i % 2 == 0 ? 4 : 0));
  parts.absmax = table.absmax().reshaped({N * (K / block)});
  return {Weight(std::make_shared<Codebook4Weight>(
              "column sweep", N, K, Codebook4Options{code, block, false}, parts)),
          result.loss,
          s.factor.damping};
}

Swept sweep_to_floats(
    const Tensor& w, const Tensor& h, FloatScheme scheme, float global, DType values, const SweepOptions& o) {
  const auto [N, K] = dims<2>("sweep_to_floats", w);
  const FloatGroupOptions format = float_scheme_options(scheme, values);
  if (o.order == ColumnOrder::activation) throw bug("sweep_to_floats: the order tears blocks apart");
  if (format.block_rows != 1) throw bug("sweep_to_floats: rows share scales");
  if (!fits_float_scheme(scheme, K))
    throw user_error("{} inputs are no whole number of blocks of {}", K, format.block_cols);
  if (format.scale == BlockScale::e4m3 && global == 0) global = nvfp4_global(largest_magnitude(w), values);
  Start s = start(w, h, o, format.block_cols);
  FloatColumns floats(N, K, ColumnGroups(s.order, format.block_cols), format, global);
  const SweepResult result = column_sweep(s.w, s.factor.u, floats, o.block);
  FloatGroupWeight::Parts parts;
  parts.codes = restore_columns(floats.codes(), s.order);
  if (format.element == MiniFloat::e2m1) {
    Tensor pairs = Tensor::empty({N, K / 2}, DType::u8);
    pack_codes(parts.codes.data<u8>(), N * K, 4, pairs.data<u8>());
    parts.codes = pairs;
  }
  parts.scales = floats.scales();
  if (format.scale == BlockScale::real && values != DType::f32) parts.scales = parts.scales.to(values);
  if (format.scale == BlockScale::e4m3) parts.global = Tensor::of({1}, std::vector<float>{global});
  return {Weight(std::make_shared<FloatGroupWeight>("column sweep", N, K, format, std::move(parts))),
          result.loss,
          s.factor.damping};
}

Swept sweep_to_sparse(const Tensor& w, const Tensor& h, const Pruning& pruning, const SweepOptions& o) {
  if (o.order != ColumnOrder::natural) throw bug("sweep_to_sparse: the order is not the natural one");
  Start s = start(w, h, o, 0);
  PrunedColumns pruned(w.dim(0), w.dim(1), pruning, nullptr);
  const SweepResult result = column_sweep(s.w, s.factor.u, pruned, o.block);
  return {Weight(s.w), result.loss, s.factor.damping};
}

Tensor repair_on_mask(const Tensor& w,
                      const Tensor& mask,
                      const Tensor& h,
                      double damping,
                      i64 iterations,
                      const Tensor& from) {
  Tensor v = from.defined() ? from.clone() : w.clone();
  apply_mask(mask, v);
  masked_least_squares(v, w, mask, damped_gram(h, damping), iterations);
  return v;
}

double gram_loss(const Tensor& w, const Tensor& q, const Tensor& h) {
  const auto [N, K] = dims<2>("gram_loss", w);
  expect("gram_loss", q, {N, K});
  expect("gram_loss", h, {K, K});
  Tensor d = Tensor::empty({N, K});
  for (i64 i = 0; i < N * K; ++i) d.f32()[i] = w.f32()[i] - q.f32()[i];
  const Tensor dh = multiplied(d, h);
  double sum = 0;
  for (i64 i = 0; i < N * K; ++i) sum += static_cast<double>(d.f32()[i]) * dh.f32()[i];
  return sum;
}

}  // namespace pare
