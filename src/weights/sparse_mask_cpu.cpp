#include "weights/sparse_mask_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/sparse_mask_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/half.h"
#include "weights/convert-inl.h"
#include "weights/expand-inl.h"
#include "weights/float_group.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

static_assert(cpu::kReadAhead >= kExpandReadAhead);

struct F32Values {
  using Raw = float;
  static constexpr Spread kSpread = Spread::floats;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return x; }
};

// Narrow as well: the table of 16-bit lanes takes half as much of the first cache as that of 32-bit lanes.
struct Bf16Values {
  using Raw = u16;
  static constexpr Spread kSpread = Spread::narrow;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return pare::bf16_to_f32(x); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> narrow(D d, V bits16) const {
    return bf16_lanes(d, bits16);
  }
};

struct F16Values {
  using Raw = u16;
  static constexpr Spread kSpread = Spread::narrow;
  static constexpr bool kFlips = false;
  float one(Raw x) const { return pare::f16_to_f32(x); }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> narrow(D d, V bits16) const {
    return f16_lanes(d, bits16);
  }
};

struct E4m3Values {
  using Raw = u8;
  static constexpr Spread kSpread = Spread::upper;
  static constexpr bool kFlips = false;
  float scale;
  float one(Raw x) const { return e4m3_value(x) * scale; }
  template <class D, class V>
  HWY_INLINE hn::Vec<D> upper(D d, V bits) const {
    return hn::Mul(e4m3_lanes(d, hn::ShiftRight<24>(bits)), hn::Set(d, scale));
  }
};

/// values(row): the kind of values that a row has.
template <class ValuesOf>
HWY_INLINE void expand_rows(
    ValuesOf&& values, const cpu::SparseRow* rows, i64 count, i64 from, i64 to, float* dst, i64 stride) {
  using Raw = typename decltype(values(rows[0]))::Raw;
  constexpr i64 kAhead = 2;
  // Values and mask of a row lie where no prefetcher of the CPU looks for them; half of the columns is a
  // guess.
  const i64 bytes = (to - from) / 2 * static_cast<i64>(sizeof(Raw));
  for (i64 r = 0; r < count; ++r) {
    if (r + kAhead < count) {
      const auto* next = static_cast<const u8*>(rows[r + kAhead].raw);
      __builtin_prefetch(rows[r + kAhead].mask + from / 8);
      for (i64 b = 0; b <= bytes; b += 64) __builtin_prefetch(next + b);
    }
    expand(values(rows[r]), rows[r].mask, from, to, static_cast<const Raw*>(rows[r].raw), dst + r * stride);
  }
}

void sparse_rows(
    DType dtype, const cpu::SparseRow* rows, i64 count, i64 from, i64 to, float* dst, i64 stride) {
  const auto all = [&](auto values) HWY_ATTR { expand_rows(values, rows, count, from, to, dst, stride); };
  using Row = const cpu::SparseRow&;
  if (dtype == DType::f32)
    all([](Row) HWY_ATTR { return F32Values{}; });
  else if (dtype == DType::bf16)
    all([](Row) HWY_ATTR { return Bf16Values{}; });
  else if (dtype == DType::f16)
    all([](Row) HWY_ATTR { return F16Values{}; });
  else if (dtype == DType::i8)
    all([](Row row) HWY_ATTR { return I8Values<>{row.scale}; });
  else
    all([](Row row) HWY_ATTR { return E4m3Values{row.scale}; });
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(sparse_rows);

void decode_sparse_rows(
    DType dtype, const SparseRow* rows, i64 count, i64 from, i64 to, float* dst, i64 stride) {
  HWY_DYNAMIC_DISPATCH(sparse_rows)(dtype, rows, count, from, to, dst, stride);
}

}  // namespace pare::cpu
#endif
