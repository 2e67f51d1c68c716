#include "ops/gemm_bf16_cpu.h"

#include <bit>

#include "ops/gemm.h"
#include "ops/gemm_cpu.h"
#include "tensor/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/gemm_bf16_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
using VU = hn::Vec<DU>;
constexpr i64 kLanes = static_cast<i64>(HWY_LANES(float));
constexpr i64 NR = 2 * kLanes;  // as in ops/gemm_cpu.cpp
constexpr u32 kHigh = 0xFFFF0000u;

/// bf16 in the upper half of each lane; the lower half holds nothing of use.
HWY_INLINE VU rounded(V x) {
  const DU du;
  const VU bits = hn::BitCast(du, x);
  const VU even = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const VU up = hn::Add(bits, hn::Add(even, hn::Set(du, 0x7FFFu)));
  const auto nan = hn::RebindMask(du, hn::IsNaN(x));
  return hn::IfThenElse(nan, hn::Or(bits, hn::Set(du, 0x400000u)), up);
}

HWY_INLINE VU pair(V even, V odd) {
  const DU du;
  return hn::Or(hn::ShiftRight<16>(rounded(even)), hn::And(rounded(odd), hn::Set(du, kHigh)));
}
HWY_INLINE u32 pair(float even, float odd) {
  return f32_to_bf16(even) | static_cast<u32>(f32_to_bf16(odd)) << 16;
}

void round_rows(
    const float* HWY_RESTRICT src, i64 stride, i64 rows, i64 depth, u32* HWY_RESTRICT out, i64 out_stride) {
  const D d;
  const DU du;
  for (i64 r = 0; r < rows; ++r) {
    const float* row = src + r * stride;
    u32* to = out + r * out_stride;
    i64 k = 0;
    for (; k + 2 * kLanes <= depth; k += 2 * kLanes) {
      V even, odd;
      hn::LoadInterleaved2(d, row + k, even, odd);
      hn::StoreU(pair(even, odd), du, to + k / 2);
    }
    for (; k < depth; k += 2) to[k / 2] = pair(row[k], k + 1 < depth ? row[k + 1] : 0.0f);
  }
}

void bf16_pack_columns(
    const float* HWY_RESTRICT src, i64 stride, i64 width, i64 depth, u32* HWY_RESTRICT out) {
  constexpr i64 kPairs = (kGemmDepth + 1) / 2;
  alignas(64) u32 columns[NR * kPairs];
  const i64 pairs = (depth + 1) / 2;
  round_rows(src, stride, width, depth, columns, kPairs);
  for (i64 n = width; n < NR; ++n)
    for (i64 p = 0; p < pairs; ++p) columns[n * kPairs + p] = 0;
  // Bits are moved, never computed with.
  cpu::gemm_kernels().transpose(
      reinterpret_cast<const float*>(columns), kPairs, NR, pairs, reinterpret_cast<float*>(out), NR);
}

void bf16_pack_rows(const float* HWY_RESTRICT src, i64 stride, i64 width, i64 depth, u32* HWY_RESTRICT out) {
  const D d;
  const DU du;
  for (i64 k = 0; k < depth; k += 2) {
    const float *even = src + k * stride, *odd = k + 1 < depth ? even + stride : nullptr;
    u32* to = out + k / 2 * NR;
    if (width == NR && odd) {
      for (i64 n = 0; n < NR; n += kLanes)
        hn::StoreU(pair(hn::LoadU(d, even + n), hn::LoadU(d, odd + n)), du, to + n);
      continue;
    }
    for (i64 n = 0; n < NR; ++n) to[n] = n < width ? pair(even[n], odd ? odd[n] : 0.0f) : 0;
  }
}

/// Sums of a register tile to C.
HWY_INLINE void bf16_put(const float* HWY_RESTRICT sums,
                         i64 width,
                         float* HWY_RESTRICT c,
                         bool add,
                         const float* HWY_RESTRICT bias) {
  for (i64 n = 0; n < width; ++n) {
    float y = sums[n];
    if (add) y = c[n] + y;
    if (bias) y += bias[n];
    c[n] = y;
  }
}

void bf16_tile(i64 height,
               i64 width,
               i64 pairs,
               const u32* HWY_RESTRICT a,
               i64 a_stride,
               const u32* HWY_RESTRICT panel,
               float* HWY_RESTRICT c,
               i64 ldc,
               bool add,
               const float* HWY_RESTRICT bias) {
  const D d;
  const DU du;
  alignas(64) float sums[NR];
  for (i64 m = 0; m < height; ++m) {
    const u32* row = a + m * a_stride;
    V sum0 = hn::Zero(d), sum1 = sum0;
    for (i64 p = 0; p < pairs; ++p) {
      const VU b0 = hn::LoadU(du, panel + p * NR), b1 = hn::LoadU(du, panel + p * NR + kLanes);
      const V odd = hn::Set(d, std::bit_cast<float>(row[p] & kHigh)),
              even = hn::Set(d, std::bit_cast<float>(row[p] << 16));
      const VU high = hn::Set(du, kHigh);
      sum0 = hn::MulAdd(odd, hn::BitCast(d, hn::And(b0, high)), sum0);
      sum1 = hn::MulAdd(odd, hn::BitCast(d, hn::And(b1, high)), sum1);
      sum0 = hn::MulAdd(even, hn::BitCast(d, hn::ShiftLeft<16>(b0)), sum0);
      sum1 = hn::MulAdd(even, hn::BitCast(d, hn::ShiftLeft<16>(b1)), sum1);
    }
    hn::Store(sum0, d, sums);
    hn::Store(sum1, d, sums + kLanes);
    bf16_put(sums, width, c + m * ldc, add, bias);
  }
}

#if HWY_TARGET == HWY_AVX3_DL
/// 2 vectors × Rows rows of accumulators: 27 of 32 registers for 12 rows.
template <int Rows>
__attribute__((target("avx512bf16"))) void native_rows(i64 width,
                                                       i64 pairs,
                                                       const u32* a,
                                                       i64 a_stride,
                                                       const u32* panel,
                                                       float* c,
                                                       i64 ldc,
                                                       bool add,
                                                       const float* bias) {
  __m512 sum[Rows][2];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    sum[m][0] = sum[m][1] = _mm512_setzero_ps();
    __builtin_prefetch(c + m * ldc, 1);
    __builtin_prefetch(c + m * ldc + NR - 1, 1);
  }
  for (i64 p = 0; p < pairs; ++p) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_si512(panel + p * NR),
                   b1 = (__m512bh)_mm512_loadu_si512(panel + p * NR + kLanes);
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[m * a_stride + p]));
      sum[m][0] = _mm512_dpbf16_ps(sum[m][0], x, b0);
      sum[m][1] = _mm512_dpbf16_ps(sum[m][1], x, b1);
    }
  }
  alignas(64) float sums[NR];
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
    float* to = c + m * ldc;
    if (width == NR) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        __m512 y = sum[m][v];
        if (add) y = _mm512_add_ps(_mm512_loadu_ps(to + v * kLanes), y);
        if (bias) y = _mm512_add_ps(y, _mm512_loadu_ps(bias + v * kLanes));
        _mm512_storeu_ps(to + v * kLanes, y);
      }
      continue;
    }
    _mm512_store_ps(sums, sum[m][0]);
    _mm512_store_ps(sums + kLanes, sum[m][1]);
    bf16_put(sums, width, to, add, bias);
  }
}

void native_tile(i64 height,
                 i64 width,
                 i64 pairs,
                 const u32* a,
                 i64 a_stride,
                 const u32* panel,
                 float* c,
                 i64 ldc,
                 bool add,
                 const float* bias) {
  i64 m = 0;
  while (m < height) {
    const u32* rows = a + m * a_stride;
    float* to = c + m * ldc;
    if (height - m >= 12) {
      native_rows<12>(width, pairs, rows, a_stride, panel, to, ldc, add, bias);
      m += 12;
    } else if (height - m >= 6) {
      native_rows<6>(width, pairs, rows, a_stride, panel, to, ldc, add, bias);
      m += 6;
    } else if (height - m >= 2) {
      native_rows<2>(width, pairs, rows, a_stride, panel, to, ldc, add, bias);
      m += 2;
    } else {
      native_rows<1>(width, pairs, rows, a_stride, panel, to, ldc, add, bias);
      m += 1;
    }
  }
}
#endif

cpu::GemmBf16Kernels bf16_kernels() {
#if HWY_TARGET == HWY_AVX3_DL
  if (__builtin_cpu_supports("avx512bf16"))
    return {round_rows, bf16_pack_columns, bf16_pack_rows, native_tile, true};
#endif
  return {round_rows, bf16_pack_columns, bf16_pack_rows, bf16_tile, false};
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(bf16_kernels);
GemmBf16Kernels gemm_bf16_kernels() { return HWY_DYNAMIC_DISPATCH(bf16_kernels)(); }
}  // namespace pare::cpu
#endif
