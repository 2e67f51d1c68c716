#include "ops/hadamard_cpu.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/hadamard_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "base/types.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Butterflies inside a vector: lane i becomes x[i^h] ± x[i], plus where bit h of i is 0. A product with ±1
/// is exact, so the fused form rounds like a sum.
template <class T>
HWY_INLINE void butterflies_in_vectors(T* x, i64 m) {
  const hn::ScalableTag<T> d;
  constexpr i64 kLanes = static_cast<i64>(HWY_LANES(T));
  for (i64 h = 1; h < kLanes; h *= 2) {
    HWY_ALIGN hwy::MakeSigned<T> partner[kLanes];
    HWY_ALIGN T sign[kLanes];
    for (i64 i = 0; i < kLanes; ++i) {
      partner[i] = static_cast<hwy::MakeSigned<T>>(i ^ h);
      sign[i] = i & h ? T(-1) : T(1);
    }
    const auto table = hn::SetTableIndices(d, partner);
    const auto s = hn::Load(d, sign);
    for (i64 i = 0; i < m; i += kLanes) {
      const auto v = hn::LoadU(d, x + i);
      hn::StoreU(hn::MulAdd(v, s, hn::TableLookupLanes(v, table)), d, x + i);
    }
  }
}

/// x (m) becomes S·x, not normalised; m a power of two.
template <class T>
HWY_INLINE void walsh_hadamard(T* x, i64 m) {
  const hn::ScalableTag<T> d;
  constexpr i64 kLanes = static_cast<i64>(HWY_LANES(T));
  i64 h = 1;
  if (m >= kLanes) {
    butterflies_in_vectors(x, m);
    h = kLanes;
  }
  for (; h < m; h *= 2)
    for (i64 low = 0; low < m; low += 2 * h) {
      i64 i = low;
      for (; i + kLanes <= low + h; i += kLanes) {
        const auto a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + h);
        hn::StoreU(hn::Add(a, b), d, x + i);
        hn::StoreU(hn::Sub(a, b), d, x + i + h);
      }
      for (; i < low + h; ++i) {
        const T a = x[i], b = x[i + h];
        x[i] = a + b, x[i + h] = a - b;
      }
    }
}

/// y (p, m) = P·x (p, m): sums over the rows of x in their order.
template <class T>
HWY_INLINE void mix_rows(const float* dense, const T* x, i64 p, i64 m, T* y) {
  const hn::ScalableTag<T> d;
  constexpr i64 kLanes = static_cast<i64>(HWY_LANES(T));
  for (i64 out = 0; out < p; out += 4) {  // p is a multiple of 4
    const float* row = dense + out * p;
    i64 i = 0;
    for (; i + kLanes <= m; i += kLanes) {
      auto a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), e = hn::Zero(d);
      for (i64 r = 0; r < p; ++r) {
        const auto v = hn::LoadU(d, x + r * m + i);
        a = hn::MulAdd(hn::Set(d, static_cast<T>(row[r])), v, a);
        b = hn::MulAdd(hn::Set(d, static_cast<T>(row[p + r])), v, b);
        c = hn::MulAdd(hn::Set(d, static_cast<T>(row[2 * p + r])), v, c);
        e = hn::MulAdd(hn::Set(d, static_cast<T>(row[3 * p + r])), v, e);
      }
      hn::StoreU(a, d, y + out * m + i);
      hn::StoreU(b, d, y + (out + 1) * m + i);
      hn::StoreU(c, d, y + (out + 2) * m + i);
      hn::StoreU(e, d, y + (out + 3) * m + i);
    }
    for (; i < m; ++i)
      for (i64 k = 0; k < 4; ++k) {
        T sum = 0;
        for (i64 r = 0; r < p; ++r) sum += static_cast<T>(row[k * p + r]) * x[r * m + i];
        y[(out + k) * m + i] = sum;
      }
  }
}

template <class T>
HWY_INLINE void scaled(const T* x, const float* signs, T factor, i64 n, T* y) {
  const hn::ScalableTag<T> d;
  constexpr i64 kLanes = static_cast<i64>(HWY_LANES(T));
  i64 i = 0;
  for (; !signs && i + kLanes <= n; i += kLanes)
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, y + i);
  for (; i < n; ++i) y[i] = (signs ? x[i] * static_cast<T>(signs[i]) : x[i]) * factor;
}

template <class T>
HWY_INLINE void rows_of(const cpu::HadamardPlan& plan, const T* x, i64 begin, i64 end, T* scratch, T* y) {
  const i64 block = plan.factor * plan.power;
  const T norm = T(1) / std::sqrt(static_cast<T>(block));
  for (i64 r = begin; r < end; ++r)
    for (i64 at = 0; at < plan.n; at += block) {
      T *out = y + r * plan.n + at, *work = plan.factor > 1 ? scratch : out;
      scaled(x + r * plan.n + at, plan.before ? plan.before + at : nullptr, T(1), block, work);
      for (i64 f = 0; f < plan.factor; ++f) walsh_hadamard(work + f * plan.power, plan.power);
      if (plan.factor > 1) mix_rows(plan.dense, work, plan.factor, plan.power, out);
      scaled(out, plan.after ? plan.after + at : nullptr, norm, block, out);
    }
}

void hadamard_rows_f32(
    const cpu::HadamardPlan& plan, const float* x, i64 begin, i64 end, float* scratch, float* y) {
  rows_of(plan, x, begin, end, scratch, y);
}
void hadamard_rows_f64(
    const cpu::HadamardPlan& plan, const double* x, i64 begin, i64 end, double* scratch, double* y) {
  rows_of(plan, x, begin, end, scratch, y);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(hadamard_rows_f32);
HWY_EXPORT(hadamard_rows_f64);
void hadamard_rows(const HadamardPlan& plan, const float* x, i64 begin, i64 end, float* scratch, float* y) {
  HWY_DYNAMIC_DISPATCH(hadamard_rows_f32)(plan, x, begin, end, scratch, y);
}
void hadamard_rows(
    const HadamardPlan& plan, const double* x, i64 begin, i64 end, double* scratch, double* y) {
  HWY_DYNAMIC_DISPATCH(hadamard_rows_f64)(plan, x, begin, end, scratch, y);
}
}  // namespace pare::cpu
#endif
