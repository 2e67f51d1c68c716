#include "weights/float_group_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/float_group_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "weights/convert-inl.h"
#include "weights/float_group.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

void e4m3_row(const u8* codes, i64 n, float* dst) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<u8, decltype(d)> d8;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  i64 i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(e4m3_lanes(d, hn::PromoteTo(du, hn::LoadU(d8, codes + i))), d, dst + i);
  const float* table = cpu::e4m3_table();
  for (; i < n; ++i) dst[i] = table[codes[i]];
}

float e2m1_at(const u8* row, i64 k) { return e2m1_value(k % 2 ? row[k / 2] >> 4 : row[k / 2] & 15); }

void e2m1_row(const u8* row, i64 k0, i64 k1, float* dst) {
  i64 k = k0;
  for (; k < k1 && k % 2 != 0; ++k) dst[k - k0] = e2m1_at(row, k);
#if HWY_TARGET != HWY_SCALAR
    // A lane shifts its own nibble down: eight of a 32-bit word, or four of 16 bits.
#if HWY_MAX_BYTES >= 32
  const hn::FixedTag<float, 8> d;
  u32 word = 0;
#else
  const hn::FixedTag<float, 4> d;
  u16 word = 0;
#endif
  const hn::RebindToUnsigned<decltype(d)> du;
  HWY_ALIGN static constexpr u32 kShifts[8] = {0, 4, 8, 12, 16, 20, 24, 28};
  const auto shifts = hn::Load(du, kShifts);
  constexpr i64 kLanes = 2 * sizeof(word);
  for (; k + kLanes <= k1; k += kLanes) {
    std::memcpy(&word, row + k / 2, sizeof(word));
    const auto codes = hn::And(hn::Shr(hn::Set(du, word), shifts), hn::Set(du, 15u));
    hn::StoreU(minifloat_lanes<4, 1, 1>(d, codes), d, dst + (k - k0));
  }
#endif
  for (; k < k1; ++k) dst[k - k0] = e2m1_at(row, k);
}

void scale_runs_row(const float* scales, i64 run, i64 k0, i64 k1, float* dst) {
  const hn::ScalableTag<float> d;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  for (i64 k = k0; k < k1; ++scales) {
    const i64 last = std::min(k1, (k / run + 1) * run);
    const auto by = hn::Set(d, *scales);
    for (; k + lanes <= last; k += lanes)
      hn::StoreU(hn::Mul(hn::LoadU(d, dst + (k - k0)), by), d, dst + (k - k0));
    for (; k < last; ++k) dst[k - k0] *= *scales;
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <array>

namespace pare::cpu {

HWY_EXPORT(e4m3_row);
HWY_EXPORT(e2m1_row);
HWY_EXPORT(scale_runs_row);

const float* e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (int code = 0; code < 256; ++code)
      values[static_cast<std::size_t>(code)] = e4m3_value(static_cast<u8>(code));
    return values;
  }();
  return table.data();
}

void decode_e4m3(const u8* codes, i64 n, float* dst) { HWY_DYNAMIC_DISPATCH(e4m3_row)(codes, n, dst); }
void decode_e2m1(const u8* row, i64 k0, i64 k1, float* dst) {
  HWY_DYNAMIC_DISPATCH(e2m1_row)(row, k0, k1, dst);
}
void scale_runs(const float* scales, i64 run, i64 k0, i64 k1, float* dst) {
  HWY_DYNAMIC_DISPATCH(scale_runs_row)(scales, run, k0, k1, dst);
}

}  // namespace pare::cpu
#endif
