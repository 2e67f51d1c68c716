// Values that lie side by side, spread to the columns that a mask keeps, as f32; compiled once per target.
//
//   dst[i] = value(raw[number of bits set in [from, from + i)]) where bit from + i is set, else value(fill)
//
// A kind of values has `Raw` (u8, u16 or float), `fill`, one(raw) and lanes(d, raw lanes), which agree in
// every bit. Eight columns at a time by a shuffle from a table; sixteen by expanding instructions where the
// CPU has them (AVX-512 VBMI2).
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

/// Readable values behind the last one that is used.
constexpr i64 kExpandReadAhead = 16;

HWY_INLINE i64 count_bits(u32 bits) { return __builtin_popcount(bits); }

#if HWY_TARGET == HWY_SCALAR

constexpr i64 kExpandStep = 8;

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  for (i64 i = 0; i < kExpandStep; ++i) dst[i] = values.one(kept >> i & 1 ? *raw++ : values.fill);
}

#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL

constexpr i64 kExpandStep = 16;

HWY_INLINE auto expand_raw(u32 kept, const u8* raw, u8 fill) {
  const auto from = _mm_loadu_si128(reinterpret_cast<const __m128i*>(raw));
  const auto rest = _mm_set1_epi8(static_cast<char>(fill));
  return hn::Vec<hn::FixedTag<u8, 16> >{_mm_mask_expand_epi8(rest, static_cast<__mmask16>(kept), from)};
}
HWY_INLINE auto expand_raw(u32 kept, const u16* raw, u16) {
  const auto from = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(raw));
  return hn::Vec<hn::FixedTag<u16, 16> >{_mm256_maskz_expand_epi16(static_cast<__mmask16>(kept), from)};
}

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  const hn::FixedTag<float, 16> d;
  if constexpr (sizeof(typename Values::Raw) == 4)
    _mm512_storeu_ps(dst, _mm512_maskz_expand_ps(static_cast<__mmask16>(kept), _mm512_loadu_ps(raw)));
  else
    hn::StoreU(values.lanes(d, expand_raw(kept, raw, values.fill)), d, dst);
}

#else

constexpr i64 kExpandStep = 8;

/// Bits of `fill` are taken off before the shuffle, which leaves zeros, and come back behind it.
HWY_INLINE auto expand_raw(u32 kept, const u8* raw, u8 fill) {
  const hn::FixedTag<u8, 8> d;
  const auto rest = hn::Set(d, fill);
  const auto places = hn::LoadU(d, kExpandTables.bytes[kept]);
  return hn::Xor(hn::TableLookupBytesOr0(hn::Xor(hn::LoadU(d, raw), rest), places), rest);
}
HWY_INLINE auto expand_raw(u32 kept, const u16* raw, u16) {
  const hn::FixedTag<u16, 8> d;
  const auto places = hn::BitCast(d, hn::Load(hn::FixedTag<u8, 16>(), kExpandTables.words[kept]));
  return hn::TableLookupBytesOr0(hn::LoadU(d, raw), places);
}

HWY_INLINE void expand_four(u32 kept, const float* raw, float* dst) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<u8, 16> bytes;
  const auto from = hn::BitCast(bytes, hn::LoadU(d, raw));
  const auto places = hn::Load(bytes, kExpandTables.quads[kept]);
  hn::StoreU(hn::BitCast(d, hn::TableLookupBytesOr0(from, places)), d, dst);
}

template <class Values>
HWY_INLINE void expand_step(const Values& values, u32 kept, const typename Values::Raw* raw, float* dst) {
  if constexpr (sizeof(typename Values::Raw) == 4) {
    expand_four(kept & 15, raw, dst);
    expand_four(kept >> 4, raw + count_bits(kept & 15), dst + 4);
  } else {
    const auto wide = expand_raw(kept, raw, values.fill);
#if HWY_MAX_BYTES >= 32
    const hn::FixedTag<float, 8> d;
    hn::StoreU(values.lanes(d, wide), d, dst);
#else
    const hn::FixedTag<float, 4> d;
    const hn::Rebind<typename Values::Raw, decltype(d)> half;
    hn::StoreU(values.lanes(d, hn::LowerHalf(half, wide)), d, dst);
    hn::StoreU(values.lanes(d, hn::UpperHalf(half, wide)), d, dst + 4);
#endif
  }
}

#endif

/// Columns [from, to) of `mask` from the values at `raw` on; up to kExpandReadAhead values behind those that
/// are used are read. Returns the first value that is not used.
template <class Values>
HWY_INLINE const typename Values::Raw* expand(
    const Values& values, const u8* mask, i64 from, i64 to, const typename Values::Raw* raw, float* dst) {
  const auto one = [&](i64 k) HWY_ATTR {
    const bool kept = mask[k / 8] >> (k % 8) & 1;
    dst[k - from] = values.one(kept ? *raw : values.fill);
    raw += kept;
  };
  i64 k = from;
  for (; k < to && k % 8 != 0; ++k) one(k);
  for (; k + kExpandStep <= to; k += kExpandStep) {
    u16 kept = mask[k / 8];
    if constexpr (kExpandStep == 16) std::memcpy(&kept, mask + k / 8, sizeof(kept));
    expand_step(values, kept, raw, dst + (k - from));
    raw += count_bits(kept);
  }
  for (; k < to; ++k) one(k);
  return raw;
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
