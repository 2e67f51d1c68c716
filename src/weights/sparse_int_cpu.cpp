#include "weights/sparse_int_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/sparse_int_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "weights/expand-inl.h"
#include "weights/kept_places.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

/// Room for the codes of a run as bytes: from the byte its first one lies in on, whole vectors written.
constexpr i64 kCodesRoom = kKeptRun + 8 + 64;

struct Codes {
  using Raw = u8;
  Raw fill;
  float scale;
  float one(Raw x) const { return scale * static_cast<float>(static_cast<i32>(x) - fill); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> lanes(D d, V raw) const {
    const hn::RebindToSigned<D> di;
    const auto steps = hn::Sub(hn::PromoteTo(di, raw), hn::Set(di, static_cast<i32>(fill)));
    return hn::Mul(hn::ConvertTo(d, steps), hn::Set(d, scale));
  }
};

/// Eight codes in the low 8·kBits bits  →  a byte each: halves move apart three times.
template <int kBits>
HWY_INLINE u64 spread_8(u64 x) {
  constexpr u64 kFour = (u64{1} << (4 * kBits)) - 1;
  constexpr u64 kTwo = ((u64{1} << (2 * kBits)) - 1) * 0x0000'0001'0000'0001;
  constexpr u64 kOne = ((u64{1} << kBits) - 1) * 0x0001'0001'0001'0001;
  x = (x & kFour) | ((x >> (4 * kBits)) & kFour) << 32;
  x = (x & kTwo) | ((x >> (2 * kBits)) & kTwo) << 16;
  return (x & kOne) | ((x >> kBits) & kOne) << 8;
}

template <int kBits>
HWY_INLINE void unpack(const u8* packed, i64 count, u8* codes) {
  for (i64 i = 0; i < count; i += 8, packed += kBits) {
    u64 bits;
    std::memcpy(&bits, packed, 8);
    bits = spread_8<kBits>(bits);
    std::memcpy(codes + i, &bits, 8);
  }
}

#if HWY_TARGET != HWY_SCALAR
template <>
HWY_INLINE void unpack<4>(const u8* packed, i64 count, u8* codes) {
  const hn::FixedTag<u8, 16> d;
  const hn::Repartition<u16, decltype(d)> d16;
  const auto low_bits = hn::Set(d, u8{15});
  for (i64 i = 0; i < count; i += 32, packed += 16) {
    const auto both = hn::LoadU(d, packed);
    const auto even = hn::And(both, low_bits);
    const auto odd = hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, both))), low_bits);
    hn::StoreU(hn::InterleaveLower(d, even, odd), d, codes + i);
    hn::StoreU(hn::InterleaveUpper(d, even, odd), d, codes + i + 16);
  }
}
#endif

void unpack_any(int bits, const u8* packed, i64 count, u8* codes) {
  switch (bits) {
    case 2:
      return unpack<2>(packed, count, codes);
    case 3:
      return unpack<3>(packed, count, codes);
    case 4:
      return unpack<4>(packed, count, codes);
    case 5:
      return unpack<5>(packed, count, codes);
    case 6:
      return unpack<6>(packed, count, codes);
    default:
      return unpack<7>(packed, count, codes);
  }
}

void sparse_int_run(const cpu::SparseIntRun& run, float* dst) {
  u8 room[kCodesRoom];
  const u8* codes = run.packed + run.skip;
  if (run.bits < 8) {
    unpack_any(run.bits, run.packed, run.skip + run.count, room);
    codes = room + run.skip;
  }
  const float* scale = run.scales;
  const u8* zero = run.zeros;
  for (i64 k = run.from, end = k + run.group_left; k < run.to; end += run.group) {
    const i64 last = std::min(end, run.to);
    codes = expand(Codes{*zero++, *scale++}, run.mask, k, last, codes, dst + (k - run.from));
    k = last;
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(sparse_int_run);

void decode_sparse_int(const SparseIntRun& run, float* dst) {
  HWY_DYNAMIC_DISPATCH(sparse_int_run)(run, dst);
}

}  // namespace pare::cpu
#endif
