#include "ops/rmsnorm_cpu.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rmsnorm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

void rmsnorm_rows(const float* x, const float* w, float eps, i64 begin, i64 end, i64 D, float* y, float* r) {
  const F f;
  for (i64 n = begin; n < end; ++n) {
    const float* row = x + n * D;
    VF squares = hn::Zero(f);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF v = load_some(f, row + i, count);
      squares = hn::MulAdd(v, v, squares);
    });
    const float scale = 1.0f / std::sqrt(sum_lanes(f, squares) / static_cast<float>(D) + eps);
    r[n] = scale;
    const VF s = hn::Set(f, scale);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF v = hn::Mul(load_some(f, row + i, count), s);
      store_some(f, hn::Mul(v, load_some(f, w + i, count)), y + n * D + i, count);
    });
  }
}

// With u = dy·w and r as kept:  dx = r·u − x·r³·mean(u·x)      dw += dy·x·r
void rmsnorm_backward_rows(const float* dy,
                           const float* x,
                           const float* w,
                           const float* r,
                           i64 begin,
                           i64 end,
                           i64 D,
                           float* dx,
                           float* dw) {
  const F f;
  for (i64 n = begin; n < end; ++n) {
    const float *g = dy + n * D, *row = x + n * D;
    VF dot = hn::Zero(f);
    const VF s = hn::Set(f, r[n]);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF gv = load_some(f, g + i, count), xv = load_some(f, row + i, count);
      dot = hn::MulAdd(hn::Mul(gv, load_some(f, w + i, count)), xv, dot);
      store_some(f, hn::MulAdd(hn::Mul(gv, xv), s, load_some(f, dw + i, count)), dw + i, count);
    });
    const VF pull = hn::Set(f, r[n] * r[n] * r[n] * sum_lanes(f, dot) / static_cast<float>(D));
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF u = hn::Mul(load_some(f, g + i, count), load_some(f, w + i, count));
      const VF xv = load_some(f, row + i, count);
      store_some(f, hn::NegMulAdd(xv, pull, hn::Mul(u, s)), dx + n * D + i, count);
    });
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(rmsnorm_rows);
HWY_EXPORT(rmsnorm_backward_rows);
void rmsnorm_rows(const float* x, const float* w, float eps, i64 begin, i64 end, i64 D, float* y, float* r) {
  HWY_DYNAMIC_DISPATCH(rmsnorm_rows)(x, w, eps, begin, end, D, y, r);
}
void rmsnorm_backward_rows(const float* dy,
                           const float* x,
                           const float* w,
                           const float* r,
                           i64 begin,
                           i64 end,
                           i64 D,
                           float* dx,
                           float* dw) {
  HWY_DYNAMIC_DISPATCH(rmsnorm_backward_rows)(dy, x, w, r, begin, end, D, dx, dw);
}
}  // namespace pare::cpu
#endif
