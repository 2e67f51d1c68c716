#include "weights/float_group_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/float_group_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "weights/float_group.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr i64 kRun = 64;  // nibbles that are spread over bytes at a time

/// The value of each lane's code: kMantissa bits of mantissa below an exponent of that bias, below the sign.
/// A subnormal goes through an integer, so no lane ever holds a subnormal f32, which is slow.
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

template <int kBits, int kMantissa, int kBias>
HWY_INLINE i64 minifloat_row(const u8* codes, i64 n, float scale, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<u8, decltype(d)> d8;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  const auto by = hn::Set(d, scale);
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto wide = hn::PromoteTo(du, hn::LoadU(d8, codes + i));
    auto value = minifloat_lanes<kBits, kMantissa, kBias>(d, wide);
    if constexpr (kBits == 8) {
      const auto nan = hn::Eq(hn::And(wide, hn::Set(du, 0x7fu)), hn::Set(du, 0x7fu));
      value = hn::IfThenElse(
          hn::RebindMask(d, nan), hn::Or(value, hn::BitCast(d, hn::Set(du, 0x7fc00000u))), value);
    }
    hn::StoreU(hn::Mul(value, by), d, dst + i);
  }
  return i;
}

void e4m3_row(const u8* codes, i64 n, float scale, float* dst) {
  const float* table = cpu::e4m3_table();
  for (i64 i = minifloat_row<8, 3, 7>(codes, n, scale, dst); i < n; ++i) dst[i] = table[codes[i]] * scale;
}

void e2m1_row(const u8* row, i64 k0, i64 k1, float scale, float* dst) {
  u8 codes[kRun];
  for (i64 k = k0; k < k1;) {
    const i64 n = std::min(kRun, k1 - k);
    for (i64 i = 0; i < n; ++i) codes[i] = (k + i) % 2 ? row[(k + i) / 2] >> 4 : row[(k + i) / 2] & 15;
    for (i64 i = minifloat_row<4, 1, 1>(codes, n, scale, dst + (k - k0)); i < n; ++i)
      dst[k - k0 + i] = e2m1_value(codes[i]) * scale;
    k += n;
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <array>

namespace pare::cpu {

HWY_EXPORT(e4m3_row);
HWY_EXPORT(e2m1_row);

const float* e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int code = 0; code < 256; ++code)
      values[static_cast<std::size_t>(code)] = e4m3_value(static_cast<u8>(code));
    return values;
  }();
  return table.data();
}

void decode_e4m3(const u8* codes, i64 n, float scale, float* dst) {
  HWY_DYNAMIC_DISPATCH(e4m3_row)(codes, n, scale, dst);
}
void decode_e2m1(const u8* row, i64 k0, i64 k1, float scale, float* dst) {
  HWY_DYNAMIC_DISPATCH(e2m1_row)(row, k0, k1, scale, dst);
}

}  // namespace pare::cpu
#endif
