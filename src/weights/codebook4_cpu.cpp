#include "weights/codebook4_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/codebook4_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using View = cpu::Codebook4View;

float absmax_at(const View& w, i64 block) {
  if (w.absmax) return w.absmax[block];
  return w.map[w.absmax_codes[block]] * w.nested_absmax[block / 256] + w.nested_offset;
}

HWY_INLINE int code_at(const u8* codes, i64 i) { return i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4; }

#if HWY_TARGET != HWY_SCALAR && HWY_MAX_BYTES >= 32
/// Elements [i0, i1) of one block. Eight nibbles are spread over the lanes of a vector, and two tables of
/// eight values looked up with their low three bits.
HWY_INLINE void decode_run(const View& w, i64 i0, i64 i1, float scale, float* dst) {
  const hn::FixedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::RebindToSigned<decltype(d)> di;
  i64 i = i0;
  for (; i < i1 && i % 2 != 0; ++i) dst[i - i0] = w.table[code_at(w.codes, i)] * scale;
  HWY_ALIGN static constexpr u32 kShifts[8] = {4, 0, 12, 8, 20, 16, 28, 24};
  const auto shifts = hn::Load(du, kShifts);
  const auto low = hn::LoadU(d, w.table), high = hn::LoadU(d, w.table + 8), by = hn::Set(d, scale);
  for (; i + 8 <= i1; i += 8) {
    u32 bits;
    std::memcpy(&bits, w.codes + i / 2, 4);
    const auto codes = hn::Shr(hn::Set(du, bits), shifts);
    const auto index = hn::IndicesFromVec(d, hn::BitCast(di, hn::And(codes, hn::Set(du, 7u))));
    const auto upper =
        hn::MaskFromVec(hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(di, hn::ShiftLeft<28>(codes)))));
    const auto values =
        hn::IfThenElse(upper, hn::TableLookupLanes(high, index), hn::TableLookupLanes(low, index));
    hn::StoreU(hn::Mul(values, by), d, dst + (i - i0));
  }
  for (; i < i1; ++i) dst[i - i0] = w.table[code_at(w.codes, i)] * scale;
}
#else
HWY_INLINE void decode_run(const View& w, i64 i0, i64 i1, float scale, float* dst) {
  for (i64 i = i0; i < i1; ++i) dst[i - i0] = w.table[code_at(w.codes, i)] * scale;
}
#endif

void decode_codebook4(const View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    const i64 first = n * w.cols + k0, end = n * w.cols + k1;
    for (i64 i = first; i < end;) {
      const i64 block = i / w.block, last = std::min(end, (block + 1) * w.block);
      decode_run(w, i, last, absmax_at(w, block), dst + (i - first));
      i = last;
    }
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(decode_codebook4);

void decode_codebook4(const Codebook4View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) {
  HWY_DYNAMIC_DISPATCH(decode_codebook4)(w, n0, n1, k0, k1, dst, stride);
}

}  // namespace pare::cpu
#endif
