// Lanes of small floats to f32, exact, for the *_cpu.cpp files; compiled once per target.
#if defined(PARE_WEIGHTS_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_WEIGHTS_CONVERT_INL_H_
#undef PARE_WEIGHTS_CONVERT_INL_H_
#else
#define PARE_WEIGHTS_CONVERT_INL_H_
#endif

#include <hwy/highway.h>

#include "base/types.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE hn::Vec<D> bf16_lanes(D d, V bits16) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, bits16)));
}

/// Highway's own conversion takes infinities and NaN for numbers where the CPU has no instruction for it.
template <class D, class V>
HWY_INLINE hn::Vec<D> f16_lanes(D d, V bits16) {
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

/// The value of each lane's code (u32): kMantissa bits of mantissa below an exponent of that bias, below the
/// sign. A subnormal goes through an integer, so no lane ever holds a subnormal f32, which is slow.
template <int kBits, int kMantissa, int kBias, class D, class V>
HWY_INLINE hn::Vec<D> minifloat_lanes(D d, V codes) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  constexpr u32 kSign = 1u << (kBits - 1);
  const auto sign = hn::ShiftLeft<32 - kBits>(hn::And(codes, hn::Set(du, kSign)));
  const auto magnitude = hn::And(codes, hn::Set(du, kSign - 1));
  const auto normal =
      hn::Add(hn::ShiftLeft<23 - kMantissa>(magnitude), hn::Set(du, static_cast<u32>(127 - kBias) << 23));
  const auto small = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, magnitude)),
                             hn::Set(d, 1.0f / static_cast<float>(1 << (kMantissa + kBias - 1))));
  const auto is_small = hn::Lt(hn::BitCast(di, magnitude), hn::Set(di, 1 << kMantissa));
  const auto value = hn::IfThenElse(hn::RebindMask(d, is_small), small, hn::BitCast(d, normal));
  return hn::Or(value, hn::BitCast(d, sign));
}

/// e4m3 of weights/float_group.h; codes u32.
template <class D, class V>
HWY_INLINE hn::Vec<D> e4m3_lanes(D d, V codes) {
  const hn::RebindToUnsigned<D> du;
  const auto low_bits = hn::Set(du, 0x7fu);
  const auto value = minifloat_lanes<8, 3, 7>(d, codes);
  const auto nan = hn::RebindMask(d, hn::Eq(hn::And(codes, low_bits), low_bits));
  return hn::IfThenElse(nan, hn::Or(value, hn::BitCast(d, hn::Set(du, 0x7fc00000u))), value);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
