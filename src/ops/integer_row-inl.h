// Sums of products of 8-bit integers for one row of A, straight from B's rows as they lie, for
// ops/integer_gemm_cpu.cpp; compiled once per target. Eight rows are summed along their inputs and their
// lanes added up at the end of a group: for one row of A that is cheaper than turning B into a panel. AVX2
// only; kHasRowDot says so.
#if defined(PARE_OPS_INTEGER_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_OPS_INTEGER_ROW_INL_H_
#undef PARE_OPS_INTEGER_ROW_INL_H_
#else
#define PARE_OPS_INTEGER_ROW_INL_H_
#endif

#include <hwy/highway.h>

#include "ops/integer_gemm_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && HWY_TARGET > HWY_AVX3_DL

constexpr bool kHasRowDot = true;

/// 32 codes of a, or the 16 that are there and zeros.
template <bool kWhole>
HWY_INLINE __m256i codes_of(const void* at) {
  if constexpr (kWhole)
    return _mm256_loadu_si256(static_cast<const __m256i*>(at));
  else
    return _mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(at)));
}

/// The 16 codes at `at` of one block of 32 and, where there is a second block, of the next.
template <bool kWhole>
HWY_INLINE __m256i half_blocks(const i8* at) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  if constexpr (!kWhole) return _mm256_zextsi128_si256(first);
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(first), _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 32)), 1);
}

/// The sums of a group and eight rows.
template <cpu::CodeKind kKind>
class RowDot {
 public:
  explicit RowDot(const cpu::IntegerRow& t) : stride_(t.stride), first_(t.low_first ? 0 : 16) {
    if constexpr (kKind == cpu::CodeKind::levels)
      levels_ = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(t.levels)));
  }

  /// rows: where the group begins in the first of the eight. Lane n is the sum of row n.
  HWY_INLINE __m256i group(const u8* rows, i64 count, const i8* a) const {
    const __m256i low = four_rows(rows, count, a), high = four_rows(rows + 4 * stride_, count, a);
    return _mm256_add_epi32(_mm256_blend_epi32(low, high, 0xf0), _mm256_permute2x128_si256(low, high, 0x21));
  }

  /// Two groups that are half a vector long each.
  HWY_INLINE void two_groups(const u8* rows, i64 count, const i8* a, __m256i* dots) const {
    const __m256i low = four_rows(rows, 2 * count, a), high = four_rows(rows + 4 * stride_, 2 * count, a);
    dots[0] = _mm256_permute2x128_si256(low, high, 0x20);
    dots[1] = _mm256_permute2x128_si256(low, high, 0x31);
  }

 private:
  /// In each half of 128 bits: lane n is a part of the sum of row n.
  HWY_INLINE __m256i four_rows(const u8* rows, i64 count, const i8* a) const {
    __m256i sums[4];
#pragma GCC unroll 4
    for (__m256i& s : sums) s = _mm256_setzero_si256();
    i64 k = 0;
    if constexpr (kKind == cpu::CodeKind::bytes) {
      for (; k + 32 <= count; k += 32) add_bytes<true>(rows + k, a + k, sums);
      if (k < count) add_bytes<false>(rows + k, a + k, sums);
    } else {
      for (; k + 64 <= count; k += 64) add_nibbles<true>(rows + k / 2, a + k, sums);
      if (k < count) add_nibbles<false>(rows + k / 2, a + k, sums);
      if constexpr (kKind == cpu::CodeKind::nibbles) return folded(sums, k < count ? k + 32 : k);
    }
    return fold_64(fold_32(sums[0], sums[1]), fold_32(sums[2], sums[3]));
  }

  // Halves of lanes added up, as integers of 32 bits or of pairs of 16: first of two vectors, then of two
  // pairs. (vphaddd is four times slower than what it stands for.)
  static HWY_INLINE __m256i fold_32(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  }
  static HWY_INLINE __m256i fold_64(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
  }
  static HWY_INLINE __m256i fold_32_narrow(__m256i a, __m256i b) {
    return _mm256_add_epi16(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  }
  static HWY_INLINE __m256i fold_64_narrow(__m256i a, __m256i b) {
    return _mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
  }

  /// Sums of 16 bits of four rows: of each 64 inputs a lane has four products, 4 · 15 · 127 < 2¹³. They stay
  /// narrow as long as they fit.
  static HWY_INLINE __m256i folded(const __m256i* s, i64 inputs) {
    const __m256i ones = _mm256_set1_epi16(1);
    const auto wide = [&](__m256i pairs) HWY_ATTR { return _mm256_madd_epi16(pairs, ones); };
    if (inputs <= 64) return wide(fold_64_narrow(fold_32_narrow(s[0], s[1]), fold_32_narrow(s[2], s[3])));
    if (inputs <= 128) return fold_64(wide(fold_32_narrow(s[0], s[1])), wide(fold_32_narrow(s[2], s[3])));
    return fold_64(fold_32(wide(s[0]), wide(s[1])), fold_32(wide(s[2]), wide(s[3])));
  }

  static HWY_INLINE __m256i signed_product(__m256i levels, __m256i a) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(a, levels));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }

  template <bool kWhole>
  HWY_INLINE void add_bytes(const u8* rows, const i8* a, __m256i* sums) const {
    const __m256i codes = codes_of<kWhole>(a);
#pragma GCC unroll 4
    for (i64 n = 0; n < 4; ++n)
      sums[n] = _mm256_add_epi32(sums[n], signed_product(codes_of<kWhole>(rows + n * stride_), codes));
  }

  template <bool kWhole>
  HWY_INLINE void add_nibbles(const u8* rows, const i8* a, __m256i* sums) const {
    const __m256i a_low = half_blocks<kWhole>(a + first_), a_high = half_blocks<kWhole>(a + 16 - first_);
    const __m256i mask = _mm256_set1_epi8(15);
#pragma GCC unroll 4
    for (i64 n = 0; n < 4; ++n) {
      const __m256i both = codes_of<kWhole>(rows + n * stride_);
      const __m256i low = _mm256_and_si256(both, mask),
                    high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
      if constexpr (kKind == cpu::CodeKind::levels) {
        const __m256i pair = _mm256_add_epi32(signed_product(_mm256_shuffle_epi8(levels_, low), a_low),
                                              signed_product(_mm256_shuffle_epi8(levels_, high), a_high));
        sums[n] = _mm256_add_epi32(sums[n], pair);
      } else {
        const __m256i pairs =
            _mm256_add_epi16(_mm256_maddubs_epi16(low, a_low), _mm256_maddubs_epi16(high, a_high));
        sums[n] = _mm256_add_epi16(sums[n], pairs);
      }
    }
  }

  i64 stride_, first_;
  __m256i levels_{};
};

template <cpu::CodeKind kKind>
void row_of(const cpu::IntegerRow& t) {
  const hn::FixedTag<float, 8> d;
  const RowDot<kKind> dot(t);
  const i64 bytes = kKind == cpu::CodeKind::bytes ? t.group : t.group / 2;
  const auto* next = reinterpret_cast<const char*>(t.rows + 8 * t.stride);
  auto sum = hn::LoadU(d, t.sums);
  i64 fetched = 0;
  // The next eight rows on their way, in the order in which they lie: memory gives most to one who reads on.
  // An address behind the weight does no harm.
  const auto fetch_to = [&](i64 end) HWY_ATTR {
    for (; fetched < 8 * end; fetched += 64) _mm_prefetch(next + fetched, _MM_HINT_T0);
  };
  const auto add = [&](i64 g, __m256i dots) HWY_ATTR {
    dots = _mm256_sub_epi32(dots, _mm256_set1_epi32(t.offset * t.a_sums[g]));
    const float step = t.a_scales[g];
    const auto value = hn::Mul(hn::ConvertTo(d, hn::Vec<hn::FixedTag<i32, 8>>{dots}), hn::Set(d, step));
    sum = hn::MulAdd(value, hn::LoadU(d, t.scales + 8 * g), sum);
    if (t.mins)
      sum = hn::NegMulAdd(
          hn::Set(d, step * static_cast<float>(t.a_sums[g])), hn::LoadU(d, t.mins + 8 * g), sum);
  };
  const auto from = [&](i64 first, i64 group) HWY_ATTR {
    for (i64 g = first; g < t.groups; ++g) {
      fetch_to((g + 1) * bytes);
      add(g, dot.group(t.rows + g * bytes, group, t.a + g * group));
    }
  };
  constexpr i64 kHalf = kKind == cpu::CodeKind::bytes ? 16 : 32;  // a group that fills half a vector
  if (t.group == kHalf) {
    i64 g = 0;
    for (; g + 2 <= t.groups; g += 2) {
      fetch_to((g + 2) * bytes);
      __m256i dots[2];
      dot.two_groups(t.rows + g * bytes, kHalf, t.a + g * kHalf, dots);
      add(g, dots[0]);
      add(g + 1, dots[1]);
    }
    from(g, kHalf);
  } else if (t.group == 64) {  // the usual lengths, known to the compiler
    from(0, 64);
  } else if (t.group == 128) {
    from(0, 128);
  } else {
    from(0, t.group);
  }
  hn::StoreU(sum, d, t.sums);
}

#else

constexpr bool kHasRowDot = false;
template <cpu::CodeKind kKind>
void row_of(const cpu::IntegerRow&) {}

#endif

void row(const cpu::IntegerRow& t) {
  switch (t.kind) {
    case cpu::CodeKind::nibbles:
      return row_of<cpu::CodeKind::nibbles>(t);
    case cpu::CodeKind::levels:
      return row_of<cpu::CodeKind::levels>(t);
    case cpu::CodeKind::bytes:
      return row_of<cpu::CodeKind::bytes>(t);
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
