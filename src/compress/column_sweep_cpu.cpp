#include "compress/column_sweep_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compress/column_sweep_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

void subtract_scaled(float a, const float* HWY_RESTRICT x, float* HWY_RESTRICT y, i64 n) {
  const F f;
  const VF factor = hn::Set(f, a);
  each_vector(n, [&](i64 at, i64 count) HWY_ATTR {
    const VF sum = hn::NegMulAdd(factor, load_some(f, x + at, count), load_some(f, y + at, count));
    store_some(f, sum, y + at, count);
  });
}

constexpr i64 kVectors = kTileRows / kLanesF;
constexpr i64 kChunk = 3;  // vectors; times 4 columns they are 12 accumulators, 3 of errors and 1 of U
static_assert(kTileRows % kLanesF == 0 && kVectors % kChunk == 0);

/// loss[r] += error[r]², which is exact in f64.
HWY_INLINE void add_squares(const float* HWY_RESTRICT error, double* HWY_RESTRICT loss) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  for (i64 r = 0; r < kTileRows; r += static_cast<i64>(hn::Lanes(d))) {
    const auto e = hn::PromoteTo(d, hn::Load(half, error + r));
    hn::Store(hn::MulAdd(e, e, hn::Load(d, loss + r)), d, loss + r);
  }
}

void decided(const float* HWY_RESTRICT q,
             const float* HWY_RESTRICT u,
             i64 behind,
             float* HWY_RESTRICT w,
             float* HWY_RESTRICT error,
             double* HWY_RESTRICT loss) {
  const F f;
  const VF diagonal = hn::Set(f, u[0]);
  for (i64 c = 0; c < kVectors; c += kChunk) {
    VF e[kChunk];
#pragma GCC unroll 16
    for (i64 v = 0; v < kChunk; ++v) {
      const i64 at = (c + v) * kLanesF;
      const VF value = hn::Load(f, q + at);
      e[v] = hn::Div(hn::Sub(hn::Load(f, w + at), value), diagonal);
      hn::Store(value, f, w + at);
      hn::Store(hn::Neg(e[v]), f, error + at);
    }
    float* next = w + c * kLanesF;
    for (i64 j = 1; j <= behind; ++j) {
      next += kTileRows;
      const VF x = hn::Set(f, u[j]);
#pragma GCC unroll 16
      for (i64 v = 0; v < kChunk; ++v)
        hn::Store(hn::NegMulAdd(e[v], x, hn::Load(f, next + v * kLanesF)), f, next + v * kLanesF);
    }
  }
  add_squares(error, loss);
}

/// kChunk vectors of `Columns` columns.
template <i64 Columns>
HWY_INLINE void correct_chunk(const float* HWY_RESTRICT errors,
                              const float* HWY_RESTRICT u,
                              i64 depth,
                              float* HWY_RESTRICT w) {
  const F f;
  VF sum[Columns][kChunk];
#pragma GCC unroll 16
  for (i64 j = 0; j < Columns; ++j)
#pragma GCC unroll 16
    for (i64 v = 0; v < kChunk; ++v) sum[j][v] = hn::Load(f, w + j * kTileRows + v * kLanesF);
  for (i64 k = 0; k < depth; ++k) {
    VF e[kChunk];
#pragma GCC unroll 16
    for (i64 v = 0; v < kChunk; ++v) e[v] = hn::Load(f, errors + k * kTileRows + v * kLanesF);
#pragma GCC unroll 16
    for (i64 j = 0; j < Columns; ++j) {
      const VF x = hn::Set(f, u[k * cpu::kStrip + j]);
#pragma GCC unroll 16
      for (i64 v = 0; v < kChunk; ++v) sum[j][v] = hn::MulAdd(x, e[v], sum[j][v]);
    }
  }
#pragma GCC unroll 16
  for (i64 j = 0; j < Columns; ++j)
#pragma GCC unroll 16
    for (i64 v = 0; v < kChunk; ++v) hn::Store(sum[j][v], f, w + j * kTileRows + v * kLanesF);
}

void correct(const float* errors, const float* u, i64 depth, i64 columns, float* w) {
  for (i64 c = 0; c < kVectors; c += kChunk) {
    i64 j = 0;
    const i64 at = c * kLanesF;
    for (; j + 4 <= columns; j += 4) correct_chunk<4>(errors + at, u + j, depth, w + j * kTileRows + at);
    for (; j < columns; ++j) correct_chunk<1>(errors + at, u + j, depth, w + j * kTileRows + at);
  }
}

cpu::SubtractScaled chosen_subtract_scaled() { return subtract_scaled; }
cpu::TileKernels chosen_tile_kernels() { return {decided, correct}; }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(chosen_subtract_scaled);
HWY_EXPORT(chosen_tile_kernels);
SubtractScaled subtract_scaled_kernel() { return HWY_DYNAMIC_DISPATCH(chosen_subtract_scaled)(); }
TileKernels tile_kernels() { return HWY_DYNAMIC_DISPATCH(chosen_tile_kernels)(); }
}  // namespace pare::cpu
#endif
