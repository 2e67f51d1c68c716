#include "compress/int_columns_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compress/int_columns_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

/// The nearest whole number, halves away from zero. The fraction is exact, so no half is missed.
HWY_INLINE VF rounded(F f, VF x) {
  const VF whole = hn::Trunc(x), one = hn::CopySign(hn::Set(f, 1.0f), x);
  const auto up = hn::Ge(hn::Abs(hn::Sub(x, whole)), hn::Set(f, 0.5f));
  return hn::Add(whole, hn::IfThenElseZero(up, one));
}

void round_to_grids(i64 rows, const float* w, const cpu::RowGrids& grids, float* q, u8* codes) {
  const F f;
  const hn::RebindToSigned<F> i32s;
  const hn::Rebind<u8, F> u8s;
  each_vector(rows, [&](i64 at, i64 count) HWY_ATTR {
    const VF scale = load_some(f, grids.scale + at, count), low = load_some(f, grids.low + at, count);
    const VF exact = hn::Div(load_some(f, w + at, count), scale);
    const VF inside = hn::Min(hn::Max(rounded(f, exact), low), load_some(f, grids.high + at, count));
    // 0/0, where a scale vanished in its dtype, is the code of zero. By way of integers no zero is negative.
    const auto steps = hn::ConvertTo(i32s, hn::IfThenElseZero(hn::Eq(exact, exact), inside));
    store_some(f, hn::Mul(scale, hn::ConvertTo(f, steps)), q + at, count);
    const auto bytes = hn::DemoteTo(u8s, hn::Sub(steps, hn::ConvertTo(i32s, low)));
    if (count == kLanesF) return hn::StoreU(bytes, u8s, codes + at);
    HWY_ALIGN u8 part[kLanesF];
    hn::StoreU(bytes, u8s, part);
    for (i64 i = 0; i < count; ++i) codes[at + i] = part[i];
  });
}

cpu::RoundToGrids chosen_round_to_grids() { return round_to_grids; }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(chosen_round_to_grids);
RoundToGrids round_to_grids_kernel() { return HWY_DYNAMIC_DISPATCH(chosen_round_to_grids)(); }
}  // namespace pare::cpu
#endif
