#include "ops/gemm_cpu.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/gemm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr i64 kLanes = static_cast<i64>(HWY_LANES(float));
constexpr i64 kVectors = 2;
constexpr i64 NR = kVectors * kLanes;
// 2 vectors × MR rows of accumulators, 2 of B and 1 of A: 15 of 16 registers, 27 of 32 with AVX-512.
constexpr i64 MR = HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86 ? 12 : 6;

void pack_rows(const float* HWY_RESTRICT src, i64 stride, i64 width, i64 depth, float* HWY_RESTRICT out) {
  const D d;
  if (width == NR) {
    for (i64 k = 0; k < depth; ++k) {
      const float* row = src + k * stride;
      for (i64 v = 0; v < kVectors; ++v)
        hn::StoreU(hn::LoadU(d, row + v * kLanes), d, out + k * NR + v * kLanes);
    }
    return;
  }
  for (i64 k = 0; k < depth; ++k)
    for (i64 n = 0; n < NR; ++n) out[k * NR + n] = n < width ? src[k * stride + n] : 0.0f;
}

/// Transposes a kLanes × kLanes block in registers where the tier has 8 lanes, else by scalars.
HWY_INLINE void transpose_block(const float* HWY_RESTRICT src,
                                i64 stride,
                                float* HWY_RESTRICT out,
                                i64 out_stride) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET <= HWY_AVX3
  if constexpr (kLanes >= 8) {
    const hn::CappedTag<float, 8> d8;
    for (i64 r = 0; r < kLanes; r += 8) {
      for (i64 c = 0; c < kLanes; c += 8) {
        const float* s = src + r * stride + c;
        using V8 = hn::Vec<decltype(d8)>;
        const V8 r0 = hn::LoadU(d8, s), r1 = hn::LoadU(d8, s + stride), r2 = hn::LoadU(d8, s + 2 * stride),
                 r3 = hn::LoadU(d8, s + 3 * stride), r4 = hn::LoadU(d8, s + 4 * stride),
                 r5 = hn::LoadU(d8, s + 5 * stride), r6 = hn::LoadU(d8, s + 6 * stride),
                 r7 = hn::LoadU(d8, s + 7 * stride);
        // Interleave within 128-bit halves, then by pairs, then swap halves.
        const V8 a0 = hn::InterleaveLower(d8, r0, r2), a1 = hn::InterleaveUpper(d8, r0, r2),
                 a2 = hn::InterleaveLower(d8, r1, r3), a3 = hn::InterleaveUpper(d8, r1, r3),
                 a4 = hn::InterleaveLower(d8, r4, r6), a5 = hn::InterleaveUpper(d8, r4, r6),
                 a6 = hn::InterleaveLower(d8, r5, r7), a7 = hn::InterleaveUpper(d8, r5, r7);
        const V8 b0 = hn::InterleaveLower(d8, a0, a2), b1 = hn::InterleaveUpper(d8, a0, a2),
                 b2 = hn::InterleaveLower(d8, a1, a3), b3 = hn::InterleaveUpper(d8, a1, a3),
                 b4 = hn::InterleaveLower(d8, a4, a6), b5 = hn::InterleaveUpper(d8, a4, a6),
                 b6 = hn::InterleaveLower(d8, a5, a7), b7 = hn::InterleaveUpper(d8, a5, a7);
        float* o = out + c * out_stride + r;
        hn::StoreU(hn::ConcatLowerLower(d8, b4, b0), d8, o);
        hn::StoreU(hn::ConcatLowerLower(d8, b5, b1), d8, o + out_stride);
        hn::StoreU(hn::ConcatLowerLower(d8, b6, b2), d8, o + 2 * out_stride);
        hn::StoreU(hn::ConcatLowerLower(d8, b7, b3), d8, o + 3 * out_stride);
        hn::StoreU(hn::ConcatUpperUpper(d8, b4, b0), d8, o + 4 * out_stride);
        hn::StoreU(hn::ConcatUpperUpper(d8, b5, b1), d8, o + 5 * out_stride);
        hn::StoreU(hn::ConcatUpperUpper(d8, b6, b2), d8, o + 6 * out_stride);
        hn::StoreU(hn::ConcatUpperUpper(d8, b7, b3), d8, o + 7 * out_stride);
      }
    }
    return;
  }
#endif
  for (i64 c = 0; c < kLanes; ++c)
    for (i64 r = 0; r < kLanes; ++r) out[c * out_stride + r] = src[r * stride + c];
}

void transpose(
    const float* HWY_RESTRICT src, i64 stride, i64 rows, i64 cols, float* HWY_RESTRICT out, i64 out_stride) {
  const i64 whole_rows = rows / kLanes * kLanes, whole_cols = cols / kLanes * kLanes;
  for (i64 r = 0; r < whole_rows; r += kLanes) {
    for (i64 c = 0; c < whole_cols; c += kLanes)
      transpose_block(src + r * stride + c, stride, out + c * out_stride + r, out_stride);
    for (i64 c = whole_cols; c < cols; ++c)
      for (i64 i = r; i < r + kLanes; ++i) out[c * out_stride + i] = src[i * stride + c];
  }
  for (i64 r = whole_rows; r < rows; ++r)
    for (i64 c = 0; c < cols; ++c) out[c * out_stride + r] = src[r * stride + c];
}

void pack_columns(const float* HWY_RESTRICT src, i64 stride, i64 width, i64 depth, float* HWY_RESTRICT out) {
  if (width < NR)
    for (i64 k = 0; k < depth; ++k)
      for (i64 n = width; n < NR; ++n) out[k * NR + n] = 0.0f;
  transpose(src, stride, width, depth, out, NR);
}

/// One register tile of `Rows` rows: block sums from zero in one multiply-add chain per output.
template <i64 Rows>
HWY_INLINE void tile_rows(i64 width,
                          i64 depth,
                          const float* HWY_RESTRICT a,
                          i64 a_stride,
                          const float* HWY_RESTRICT panel,
                          float* HWY_RESTRICT c,
                          i64 ldc,
                          bool add,
                          const float* HWY_RESTRICT bias) {
  const D d;
  V sum[Rows][kVectors];
#pragma GCC unroll 16
  for (i64 m = 0; m < Rows; ++m) {
    sum[m][0] = sum[m][1] = hn::Zero(d);
    // C is read and written only at the end: on its way meanwhile.
    __builtin_prefetch(c + m * ldc, 1);
    __builtin_prefetch(c + m * ldc + NR - 1, 1);
  }
  for (i64 k = 0; k < depth; ++k) {
    const V b0 = hn::Load(d, panel + k * NR), b1 = hn::Load(d, panel + k * NR + kLanes);
#pragma GCC unroll 16
    for (i64 m = 0; m < Rows; ++m) {
      const V x = hn::Set(d, a[m * a_stride + k]);
      sum[m][0] = hn::MulAdd(x, b0, sum[m][0]);
      sum[m][1] = hn::MulAdd(x, b1, sum[m][1]);
    }
  }
  if (width == NR) {
#pragma GCC unroll 16
    for (i64 m = 0; m < Rows; ++m) {
      for (i64 v = 0; v < kVectors; ++v) {
        float* to = c + m * ldc + v * kLanes;
        V y = sum[m][v];
        if (add) y = hn::Add(hn::LoadU(d, to), y);
        if (bias) y = hn::Add(y, hn::LoadU(d, bias + v * kLanes));
        hn::StoreU(y, d, to);
      }
    }
    return;
  }
  HWY_ALIGN float edge[NR];
#pragma GCC unroll 16
  for (i64 m = 0; m < Rows; ++m) {
    hn::Store(sum[m][0], d, edge);
    hn::Store(sum[m][1], d, edge + kLanes);
    for (i64 n = 0; n < width; ++n) {
      float y = edge[n];
      if (add) y = c[m * ldc + n] + y;
      if (bias) y += bias[n];
      c[m * ldc + n] = y;
    }
  }
}

void tile(i64 height,
          i64 width,
          i64 depth,
          const float* a,
          i64 a_stride,
          const float* panel,
          float* c,
          i64 ldc,
          bool add,
          const float* bias) {
  i64 m = 0;
  const auto go = [&](auto rows) HWY_ATTR {
    constexpr i64 Rows = decltype(rows)::value;
    tile_rows<Rows>(width, depth, a + m * a_stride, a_stride, panel, c + m * ldc, ldc, add, bias);
    m += Rows;
  };
  if constexpr (MR > 6) {
    if (height == MR) return go(std::integral_constant<i64, MR>());
    if (height - m >= 6) go(std::integral_constant<i64, 6>());
  }
  if (height - m >= 6) go(std::integral_constant<i64, 6>());
  if (height - m >= 4) go(std::integral_constant<i64, 4>());
  if (height - m >= 2) go(std::integral_constant<i64, 2>());
  if (height - m >= 1) go(std::integral_constant<i64, 1>());
}

cpu::GemmKernels kernels() { return {MR, NR, pack_columns, pack_rows, transpose, tile}; }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(kernels);
GemmKernels gemm_kernels() { return HWY_DYNAMIC_DISPATCH(kernels)(); }
}  // namespace pare::cpu
#endif
