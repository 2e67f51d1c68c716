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

cpu::SubtractScaled chosen_subtract_scaled() { return subtract_scaled; }

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(chosen_subtract_scaled);
SubtractScaled subtract_scaled_kernel() { return HWY_DYNAMIC_DISPATCH(chosen_subtract_scaled)(); }
}  // namespace pare::cpu
#endif
