#include "weights/sparse_mask_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "weights/sparse_mask_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

#include "tensor/half.h"
#include "weights/convert-inl.h"
#include "weights/expand-inl.h"
#include "weights/float_group.h"
#include "weights/row_product-inl.h"

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

void expand_byte_run(const u8* mask, i64 from, i64 to, const u8* raw, u8* out) {
  i64 k = from;
  const auto one = [&] {
    const bool kept = mask[k / 8] >> (k % 8) & 1;
    *out++ = kept ? *raw++ : 0;
    ++k;
  };
  while (k < to && k % 8 != 0) one();
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  for (; k + 8 <= to; k += 8, out += 8) {
    const u64 kept = mask[k / 8];
    u64 values;
    std::memcpy(&values, raw, 8);
    values = _pdep_u64(values, _pdep_u64(kept, 0x0101010101010101u) * 255);
    std::memcpy(out, &values, 8);
    raw += count_bits(static_cast<u32>(kept));
  }
#endif
  while (k < to) one();
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2

/// Eight rows, expanded to floats a few columns at a time.
template <class Values>
class ExpandedRows {
 public:
  static constexpr bool kPairs = false;
  static constexpr i64 kBlocks = kExpandStep / 8;
  static constexpr i64 kLinesAhead = 1;
  ExpandedRows(const cpu::SparseRow* rows, const Values* values) : values_(values) {
    for (i64 r = 0; r < 8; ++r) {
      mask_[r] = rows[r].mask;
      raw_[r] = static_cast<const Raw*>(rows[r].raw);
    }
  }
  HWY_INLINE void load(i64 k, __m256i* v) {
    if (k % kExpandStep == 0) expand_all(k);
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      const float *row = floats_[r] + k % kExpandStep, *below = floats_[r + 4] + k % kExpandStep;
      v[r] = two_rows(row, below);
      v[4 + r] = two_rows(row + 4, below + 4);
    }
  }
  void tail(i64 k, i64 count, float* out) const {
    for (i64 r = 0; r < 8; ++r) expand(values_[r], mask_[r], k, k + count, raw_[r], out + 32 * r);
  }

 private:
  using Raw = typename Values::Raw;

  HWY_INLINE void expand_all(i64 k) {
#pragma GCC unroll 8
    for (i64 r = 0; r < 8; ++r) {
      u32 kept = mask_[r][k / 8];
      if constexpr (kExpandStep == 16) kept |= static_cast<u32>(mask_[r][k / 8 + 1]) << 8;
      expand_step(values_[r], kept, raw_[r], floats_[r]);
      raw_[r] += count_bits(kept);
    }
  }

  const Values* values_;
  const u8* mask_[8];
  const Raw* raw_[8];
  alignas(32) float floats_[8][16];
};

/// Eight rows of bf16, spread as pairs: nothing is converted before the rows are turned.
class PairedRows {
 public:
  static constexpr bool kPairs = true;
  static constexpr i64 kBlocks = 1;
  static constexpr i64 kLinesAhead = 2;  // where half of the weights are kept
  PairedRows(const cpu::SparseRow* rows, const Bf16Values*) {
    for (i64 r = 0; r < 8; ++r) {
      mask_[r] = rows[r].mask;
      raw_[r] = static_cast<const u16*>(rows[r].raw);
    }
  }
  HWY_INLINE void load(i64 k, __m256i* v) {
    __m128i first[8], second[8];
#pragma GCC unroll 8
    for (i64 r = 0; r < 8; ++r) {
      const u32 kept = mask_[r][k / 8], kept_behind = mask_[r][k / 8 + 1];
      const u16* raw = raw_[r];
      first[r] = spread(raw, kept);
      raw += count_bits(kept);
      second[r] = spread(raw, kept_behind);
      raw_[r] = raw + count_bits(kept_behind);
    }
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      v[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(first[r]), first[r + 4], 1);
      v[4 + r] = _mm256_inserti128_si256(_mm256_castsi128_si256(second[r]), second[r + 4], 1);
    }
  }
  void tail(i64 k, i64 count, float* out) const {
    for (i64 r = 0; r < 8; ++r) expand(Bf16Values{}, mask_[r], k, k + count, raw_[r], out + 32 * r);
  }

 private:
  static HWY_INLINE __m128i spread(const u16* raw, u32 kept) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(raw)),
                            _mm_load_si128(reinterpret_cast<const __m128i*>(kExpandWords.places[kept])));
  }

  const u8* mask_[8];
  const u16* raw_[8];
};

bool sparse_row_product(DType dtype,
                        const cpu::SparseRow* rows,
                        i64 depth,
                        const float* x,
                        float* y,
                        bool add,
                        const void* next) {
  static_assert(cpu::kSparseRows == kRowsAtOnce);
  const auto all = [&]<class Kind, class Values>(Kind*, const Values* values) HWY_ATTR {
    Kind groups[] = {
        {rows, values}, {rows + 8, values + 8}, {rows + 16, values + 16}, {rows + 24, values + 24}};
    multiply_rows(groups, x, depth, y, add, next);
  };
  if (dtype == DType::bf16) {
    const Bf16Values values[kRowsAtOnce];
    all(static_cast<PairedRows*>(nullptr), values);
  } else if (dtype == DType::f16) {
    const F16Values values[kRowsAtOnce];
    all(static_cast<ExpandedRows<F16Values>*>(nullptr), values);
  } else if (dtype == DType::f32) {
    const F32Values values[kRowsAtOnce];
    all(static_cast<ExpandedRows<F32Values>*>(nullptr), values);
  } else if (dtype == DType::i8) {
    I8Values<> values[kRowsAtOnce];
    for (i64 r = 0; r < kRowsAtOnce; ++r) values[r].scale = rows[r].scale;
    all(static_cast<ExpandedRows<I8Values<>>*>(nullptr), values);
  } else {
    return false;
  }
  return true;
}

#else

bool sparse_row_product(DType, const cpu::SparseRow*, i64, const float*, float*, bool, const void*) {
  return false;
}

#endif

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {

HWY_EXPORT(sparse_rows);
HWY_EXPORT(sparse_row_product);
HWY_EXPORT(expand_byte_run);

void expand_bytes(const u8* mask, i64 from, i64 to, const u8* raw, u8* out) {
  HWY_DYNAMIC_DISPATCH(expand_byte_run)(mask, from, to, raw, out);
}

void decode_sparse_rows(
    DType dtype, const SparseRow* rows, i64 count, i64 from, i64 to, float* dst, i64 stride) {
  HWY_DYNAMIC_DISPATCH(sparse_rows)(dtype, rows, count, from, to, dst, stride);
}

bool multiply_sparse_rows(
    DType dtype, const SparseRow* rows, i64 depth, const float* x, float* y, bool add, const void* next) {
  return HWY_DYNAMIC_DISPATCH(sparse_row_product)(dtype, rows, depth, x, y, add, next);
}

}  // namespace pare::cpu
#endif
