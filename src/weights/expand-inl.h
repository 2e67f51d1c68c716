// Values that lie side by side, spread to the columns that a mask keeps, as f32; compiled once per target.
//
//   dst[i] = value(raw[number of bits set in [from, from + i)]) where bit from + i is set, else value(0)
//
// A kind of values has `Raw` (u8, u16 or float), one(raw), and for its lanes what kSpread says; all agree in
// every bit. Where kFlips, raw bytes are taken ^ flip(). Eight columns at a time by shuffles from tables;
// sixteen by expanding instructions where the CPU has them (AVX-512 VBMI2).
#if defined(PARE_WEIGHTS_EXPAND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_WEIGHTS_EXPAND_INL_H_
#undef PARE_WEIGHTS_EXPAND_INL_H_
#else
#define PARE_WEIGHTS_EXPAND_INL_H_
#endif

#include <hwy/highway.h>

#include <cstring>

#include "base/types.h"
#include "weights/expand_tables.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// How a kind of values wants them: upper(d, u32 lanes) with each in the upper bits of its lane, zeros below;
/// narrow(d, raw lanes) side by side; or floats as they are.
enum class Spread { upper, narrow, floats };

/// Readable values behind the last one that is used.
constexpr i64 kExpandReadAhead = 16;

template <class Values>
HWY_INLINE typename Values::Raw one_raw(const Values& values, const typename Values::Raw* raw) {
  if constexpr (Values::kFlips)
    return static_cast<u8>(*raw ^ values.flip());
  else
    return *raw;
}

/// Vectors of raw bytes.
template <class Values, class D, class V>
HWY_INLINE V flipped(const Values& values, D d, V bytes) {
  if constexpr (Values::kFlips) return hn::Xor(bytes, hn::Set(d, values.flip()));
  return bytes;
}

HWY_INLINE i64 count_bits(u32 bits) { return __builtin_popcount(bits); }

#if HWY_TARGET == HWY_SCALAR

constexpr i64 kExpandStep = 8;

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  for (i64 i = 0; i < kExpandStep; ++i) dst[i] = values.one(kept >> i & 1 ? one_raw(values, raw++) : 0);
}

#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL

constexpr i64 kExpandStep = 16;

template <class Values>
HWY_INLINE auto expand_raw(const Values& values, __mmask16 kept, const u8* raw) {
  const hn::FixedTag<u8, 16> d;
  return hn::Vec<decltype(d)>{_mm_maskz_expand_epi8(kept, flipped(values, d, hn::LoadU(d, raw)).raw)};
}
template <class Values>
HWY_INLINE auto expand_raw(const Values&, __mmask16 kept, const u16* raw) {
  const hn::FixedTag<u16, 16> d;
  return hn::Vec<decltype(d)>{_mm256_maskz_expand_epi16(kept, hn::LoadU(d, raw).raw)};
}

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  using Raw = typename Values::Raw;
  const hn::FixedTag<float, 16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto mask = static_cast<__mmask16>(kept);
  if constexpr (Values::kSpread == Spread::floats)
    _mm512_storeu_ps(dst, _mm512_maskz_expand_ps(mask, _mm512_loadu_ps(raw)));
  else if constexpr (Values::kSpread == Spread::upper)
    hn::StoreU(values.upper(
                   d, hn::ShiftLeft<32 - 8 * sizeof(Raw)>(hn::PromoteTo(du, expand_raw(values, mask, raw)))),
               d,
               dst);
  else
    hn::StoreU(values.narrow(d, expand_raw(values, mask, raw)), d, dst);
}

#else

constexpr i64 kExpandStep = 8;

HWY_INLINE const u8* places_in_floats(u32 kept, const u8*) { return kExpandBytesInFloats.places[kept]; }
HWY_INLINE const u8* places_in_floats(u32 kept, const u16*) { return kExpandWordsInFloats.places[kept]; }

template <class Values>
HWY_INLINE void expand_upper(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Repartition<u8, decltype(d)> bytes;
  const u8* places = places_in_floats(kept, raw);
  // A block of 16 bytes is looked up in the same 16 bytes of values, of which 8 or all are those of the step.
  const auto from = flipped(values, bytes, hn::LoadDup128(bytes, reinterpret_cast<const u8*>(raw)));
  for (std::size_t i = 0; i < 8; i += hn::Lanes(d)) {
    const auto lanes = hn::TableLookupBytesOr0(from, hn::Load(bytes, places + 4 * i));
    hn::StoreU(values.upper(d, hn::BitCast(du, lanes)), d, dst + i);
  }
}

template <class Values>
HWY_INLINE void expand_narrow(const Values& values, u32 kept, const u16* raw, float* dst) {
  const hn::FixedTag<u16, 8> d16;
  const auto places = hn::BitCast(d16, hn::Load(hn::FixedTag<u8, 16>(), kExpandWords.places[kept]));
  const auto lanes = hn::TableLookupBytesOr0(hn::LoadU(d16, raw), places);
#if HWY_MAX_BYTES >= 32
  const hn::FixedTag<float, 8> d;
  hn::StoreU(values.narrow(d, lanes), d, dst);
#else
  const hn::FixedTag<float, 4> d;
  const hn::Rebind<u16, decltype(d)> half;
  hn::StoreU(values.narrow(d, hn::LowerHalf(half, lanes)), d, dst);
  hn::StoreU(values.narrow(d, hn::UpperHalf(half, lanes)), d, dst + 4);
#endif
}

HWY_INLINE void expand_four(u32 kept, const float* raw, float* dst) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<u8, 16> bytes;
  const auto from = hn::BitCast(bytes, hn::LoadU(d, raw));
  const auto places = hn::Load(bytes, kExpandFloats.places[kept]);
  hn::StoreU(hn::BitCast(d, hn::TableLookupBytesOr0(from, places)), d, dst);
}

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  if constexpr (Values::kSpread == Spread::floats) {
    expand_four(kept & 15, raw, dst);
    expand_four(kept >> 4, raw + count_bits(kept & 15), dst + 4);
  } else if constexpr (Values::kSpread == Spread::upper) {
    expand_upper(values, kept, raw, dst);
  } else {
    expand_narrow(values, kept, raw, dst);
  }
}

#endif

/// Bytes ^ kFlip as signed integers, times a scale.
template <u8 kFlip = 0>
struct I8Values {
  using Raw = u8;
  static constexpr Spread kSpread = Spread::upper;
  static constexpr bool kFlips = kFlip != 0;
  float scale;
  static u8 flip() { return kFlip; }
  float one(Raw x) const { return static_cast<float>(static_cast<i8>(x)) * scale; }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> upper(D d, V bits) const {
    const auto wide = hn::ShiftRight<24>(hn::BitCast(hn::RebindToSigned<D>(), bits));
    return hn::Mul(hn::ConvertTo(d, wide), hn::Set(d, scale));
  }
};

/// Columns [from, to) of `mask` from the values at `raw` on; up to kExpandReadAhead values behind those that
/// are used are read. Returns the first value that is not used.
template <class Values>
HWY_INLINE const typename Values::Raw* expand(
    const Values& values, const u8* mask, i64 from, i64 to, const typename Values::Raw* raw, float* dst) {
  const auto one = [&](i64 k) HWY_ATTR {
    const bool kept = mask[k / 8] >> (k % 8) & 1;
    dst[k - from] = values.one(kept ? one_raw(values, raw) : 0);
    raw += kept;
  };
  i64 k = from;
  for (; k < to && k % 8 != 0; ++k) one(k);
  const u8* bits = mask + k / 8;
  float* out = dst + (k - from);
  const i64 steps = (to - k) / kExpandStep;
#pragma GCC unroll 4
  for (i64 i = 0; i < steps; ++i) {
    u16 kept;
    if constexpr (kExpandStep == 16)
      std::memcpy(&kept, bits + 2 * i, sizeof(kept));
    else
      kept = bits[i];
    expand_step(values, kept, raw, out + i * kExpandStep);
    raw += count_bits(kept);
  }
  k += steps * kExpandStep;
  for (; k < to; ++k) one(k);
  return raw;
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
