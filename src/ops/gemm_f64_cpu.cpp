#include "ops/gemm_f64_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/gemm_f64_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr i64 kLanes = static_cast<i64>(HWY_LANES(double));
constexpr i64 kVectors = 2;
constexpr i64 NR = kVectors * kLanes;
// As ops/gemm_cpu.cpp: 15 of 16 registers, 27 of 32 with AVX-512.
constexpr i64 MR = HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86 ? 12 : 6;

template <i64 Rows>
HWY_INLINE void tile_rows(i64 width,
                          i64 depth,
                          const double* HWY_RESTRICT a,
                          i64 a_stride,
                          const double* HWY_RESTRICT panel,
                          double* HWY_RESTRICT c,
                          i64 ldc,
                          bool add) {
  const D d;
  V sum[Rows][kVectors];
#pragma GCC unroll 16
  for (i64 m = 0; m < Rows; ++m) sum[m][0] = sum[m][1] = hn::Zero(d);
  for (i64 k = 0; k < depth; ++k) {
    const V b0 = hn::Load(d, panel + k * NR), b1 = hn::Load(d, panel + k * NR + kLanes);
#pragma GCC unroll 16
    for (i64 m = 0; m < Rows; ++m) {
      const V x = hn::Set(d, a[m * a_stride + k]);
      sum[m][0] = hn::MulAdd(x, b0, sum[m][0]);
      sum[m][1] = hn::MulAdd(x, b1, sum[m][1]);
    }
  }
  HWY_ALIGN double edge[NR];
#pragma GCC unroll 16
  for (i64 m = 0; m < Rows; ++m) {
    double* row = c + m * ldc;
    if (width == NR) {
      for (i64 v = 0; v < kVectors; ++v) {
        const V y = add ? hn::Add(hn::LoadU(d, row + v * kLanes), sum[m][v]) : sum[m][v];
        hn::StoreU(y, d, row + v * kLanes);
      }
      continue;
    }
    hn::Store(sum[m][0], d, edge);
    hn::Store(sum[m][1], d, edge + kLanes);
    for (i64 n = 0; n < width; ++n) row[n] = add ? row[n] + edge[n] : edge[n];
  }
}

void tile(i64 height,
          i64 width,
          i64 depth,
          const double* a,
          i64 a_stride,
          const double* panel,
          double* c,
          i64 ldc,
          bool add) {
  if (height == MR) return tile_rows<MR>(width, depth, a, a_stride, panel, c, ldc, add);
  for (i64 m = 0; m < height; ++m)
    tile_rows<1>(width, depth, a + m * a_stride, a_stride, panel, c + m * ldc, ldc, add);
}

cpu::GemmF64Kernel f64_kernel() { return {MR, NR, tile}; }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(f64_kernel);
GemmF64Kernel gemm_f64_kernel() { return HWY_DYNAMIC_DISPATCH(f64_kernel)(); }
}  // namespace pare::cpu
#endif
