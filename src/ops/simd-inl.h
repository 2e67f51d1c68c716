// Vector helpers shared by the *_cpu.cpp files, compiled once per target. No include guard of the usual kind.
#if defined(PARE_OPS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_OPS_SIMD_INL_H_
#undef PARE_OPS_SIMD_INL_H_
#else
#define PARE_OPS_SIMD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "base/types.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;
constexpr i64 kLanesF = static_cast<i64>(HWY_LANES(float));

/// The first n < kLanesF floats, zero behind them; reads nothing else.
HWY_INLINE VF load_part(F f, const float* p, i64 n) {
  HWY_ALIGN float part[kLanesF] = {};
  for (i64 i = 0; i < n; ++i) part[i] = p[i];
  return hn::Load(f, part);
}
HWY_INLINE void store_part(F f, VF v, float* p, i64 n) {
  HWY_ALIGN float part[kLanesF];
  hn::Store(v, f, part);
  for (i64 i = 0; i < n; ++i) p[i] = part[i];
}

/// Calls body(offset, count) for whole vectors of [0, n) and once for the rest.
template <class Body>
HWY_INLINE void each_vector(i64 n, Body&& body) {
  i64 i = 0;
  for (; i + kLanesF <= n; i += kLanesF) body(i, kLanesF);
  if (i < n) body(i, n - i);
}
HWY_INLINE VF load_some(F f, const float* p, i64 n) {
  return n == kLanesF ? hn::LoadU(f, p) : load_part(f, p, n);
}
HWY_INLINE void store_some(F f, VF v, float* p, i64 n) {
  if (n == kLanesF)
    hn::StoreU(v, f, p);
  else
    store_part(f, v, p, n);
}

/// All lanes added in one order: a fixed tree of the tier.
HWY_INLINE float sum_lanes(F f, VF v) {
  HWY_ALIGN float lanes[kLanesF];
  hn::Store(v, f, lanes);
  for (i64 width = kLanesF / 2; width > 0; width /= 2)
    for (i64 i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}
HWY_INLINE float max_lanes(F f, VF v) {
  HWY_ALIGN float lanes[kLanesF];
  hn::Store(v, f, lanes);
  float best = lanes[0];
  for (i64 i = 1; i < kLanesF; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
