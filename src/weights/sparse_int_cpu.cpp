#include "weights/sparse_int_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/sparse_int_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "tensor/half.h"
#include "weights/bits.h"
#include "weights/expand-inl.h"
#include "weights/kept_places.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

/// Room for the codes of a run as bytes: from the byte its first one lies in on, whole vectors written.
constexpr i64 kCodesRoom = kKeptRun + 8 + 64;

/// Codes and their zero point, whose bits are taken off for the shuffle: no bits are the code of zero.
struct Codes {
  using Raw = u8;
  static constexpr Spread kSpread = Spread::upper;
  static constexpr bool kFlips = true;
  i32 zero;
  float scale;
  u8 flip() const { return static_cast<u8>(zero); }
  float one(Raw x) const { return scale * static_cast<float>((x ^ zero) - zero); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> upper(D d, V bits) const {
    const hn::RebindToSigned<D> di;
    const auto zeros = hn::Set(di, zero);
    const auto codes = hn::Xor(hn::BitCast(di, hn::ShiftRight<24>(bits)), zeros);
    return hn::Mul(hn::ConvertTo(d, hn::Sub(codes, zeros)), hn::Set(d, scale));
  }
};

constexpr u64 kOnes = 0x0101'0101'0101'0101;

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

/// Codes as bytes, or minus 2^(kBits−1) as signed bytes. Writes whole vectors.
enum class Minus { nothing, half };

template <int kBits, Minus kMinus>
HWY_INLINE void unpack(const u8* packed, i64 count, u8* codes) {
  constexpr u64 kToTop = 0x80 - (1 << (kBits - 1));  // no byte carries over
  for (i64 i = 0; i < count; i += 8, packed += kBits) {
    u64 bits;
    std::memcpy(&bits, packed, 8);
    bits = spread_8<kBits>(bits);
    if (kMinus == Minus::half) bits = (bits + kToTop * kOnes) ^ (0x80 * kOnes);
    std::memcpy(codes + i, &bits, 8);
  }
}

#if HWY_TARGET != HWY_SCALAR
template <Minus kMinus>
HWY_INLINE void unpack_nibbles(const u8* packed, i64 count, u8* codes) {
  const hn::FixedTag<u8, 16> d;
  const hn::Repartition<u16, decltype(d)> d16;
  const auto low_bits = hn::Set(d, u8{15}), half = hn::Set(d, u8{kMinus == Minus::half ? 8 : 0});
  for (i64 i = 0; i < count; i += 32, packed += 16) {
    const auto both = hn::LoadU(d, packed);
    const auto even = hn::And(both, low_bits);
    const auto odd = hn::And(hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, both))), low_bits);
    hn::StoreU(hn::Sub(hn::InterleaveLower(d, even, odd), half), d, codes + i);
    hn::StoreU(hn::Sub(hn::InterleaveUpper(d, even, odd), half), d, codes + i + 16);
  }
}
#endif

template <Minus kMinus>
void unpack_any(int bits, const u8* packed, i64 count, u8* codes) {
  switch (bits) {
    case 2:
      return unpack<2, kMinus>(packed, count, codes);
    case 3:
      return unpack<3, kMinus>(packed, count, codes);
    case 4:
#if HWY_TARGET != HWY_SCALAR
      return unpack_nibbles<kMinus>(packed, count, codes);
#else
      return unpack<4, kMinus>(packed, count, codes);
#endif
    case 5:
      return unpack<5, kMinus>(packed, count, codes);
    case 6:
      return unpack<6, kMinus>(packed, count, codes);
    default:
      return unpack<7, kMinus>(packed, count, codes);
  }
}

float scale_at(const cpu::SparseIntRun& run, i64 g) {
  if (run.scale_dtype == DType::f32) return static_cast<const float*>(run.scales)[g];
  const u16 bits = static_cast<const u16*>(run.scales)[g];
  return run.scale_dtype == DType::f16 ? pare::f16_to_f32(bits) : pare::bf16_to_f32(bits);
}

/// values(g): the kind of values of group g.
template <class ValuesOf>
HWY_INLINE void expand_groups(const cpu::SparseIntRun& run, const u8* raw, ValuesOf&& values, float* dst) {
  i64 g = run.first_group;
  for (i64 k = run.from, end = k + run.group_left; k < run.to; end += run.group, ++g) {
    const i64 last = std::min(end, run.to);
    raw = expand(values(g), run.mask, k, last, raw, dst + (k - run.from));
    k = last;
  }
}

void sparse_int_run(const cpu::SparseIntRun& run, float* dst) {
  u8 room[kCodesRoom];
  const u8* bytes = (run.bits == 8 ? run.packed : room) + run.skip;
  if (run.zeros) {
    if (run.bits < 8) unpack_any<Minus::nothing>(run.bits, run.packed, run.skip + run.count, room);
    const auto codes = [&](i64 g) HWY_ATTR {
      return Codes{packed_code(run.zeros, g, run.bits), scale_at(run, g)};
    };
    expand_groups(run, bytes, codes, dst);
  } else if (run.bits < 8) {
    unpack_any<Minus::half>(run.bits, run.packed, run.skip + run.count, room);
    expand_groups(
        run, bytes, [&](i64 g) HWY_ATTR { return I8Values<>{scale_at(run, g)}; }, dst);
  } else {
    expand_groups(
        run, bytes, [&](i64 g) HWY_ATTR { return I8Values<0x80>{scale_at(run, g)}; }, dst);
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
