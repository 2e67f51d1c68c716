#include "weights/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/convert_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/half.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void bf16_row(const u16* src, i64 n, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<u32, decltype(d)> d32;
  const hn::Rebind<u16, decltype(d)> d16;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, src + i)));
    hn::StoreU(hn::BitCast(d, bits), d, dst + i);
  }
  for (; i < n; ++i) dst[i] = pare::bf16_to_f32(src[i]);
}

/// Highway's own conversion takes infinities and NaN for numbers where the CPU has no instruction for it.
template <class D, class V>
hn::Vec<D> f16_lanes(D d, V bits16) {
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || HWY_ARCH_ARM_A64
  return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits16));
#else
  const hn::Rebind<u32, D> d32;
  const auto bits = hn::PromoteTo(d32, bits16);
  const auto magnitude = hn::And(bits, hn::Set(d32, 0x7fff));
  // As the bits of a float the magnitude is 2^-112 of its value, subnormals included; exponent 31 becomes
  // 255.
  const auto number = hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(magnitude)), hn::Set(d, 0x1p112f));
  const auto special = hn::BitCast(d, hn::Or(hn::ShiftLeft<13>(magnitude), hn::Set(d32, 0x7f800000)));
  const auto finite = hn::Lt(hn::BitCast(hn::RebindToSigned<decltype(d32)>(), magnitude),
                             hn::Set(hn::RebindToSigned<decltype(d32)>(), 0x7c00));
  const auto value = hn::IfThenElse(hn::RebindMask(d, finite), number, special);
  return hn::Or(value, hn::BitCast(d, hn::ShiftLeft<16>(hn::Sub(bits, magnitude))));
#endif
}

void f16_row(const u16* src, i64 n, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<u16, decltype(d)> d16;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f16_lanes(d, hn::LoadU(d16, src + i)), d, dst + i);
  for (; i < n; ++i) dst[i] = pare::f16_to_f32(src[i]);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {

HWY_EXPORT(bf16_row);
HWY_EXPORT(f16_row);

void bf16_to_f32(const u16* src, i64 n, float* dst) { HWY_DYNAMIC_DISPATCH(bf16_row)(src, n, dst); }
void f16_to_f32(const u16* src, i64 n, float* dst) { HWY_DYNAMIC_DISPATCH(f16_row)(src, n, dst); }

}  // namespace pare
#endif
