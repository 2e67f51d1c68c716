// Sums of products of 8-bit integers, a panel of rows at a time, for ops/integer_gemm_cpu.cpp; compiled once
// per target. A lane of 32 bits belongs to one row of the panel, so nothing is summed across lanes.
//
//   AVX-512 VNNI   16 rows: vpdpbusd of levels + 128 (nibbles as they are) and four inputs at a time
//   AVX2           8 rows: vpmaddubsw; sums of nibbles stay in 16 bits for 32 inputs (8 · 2 · 15 · 127 <
//   2¹⁵),
//                  others move their sign to the other factor (2 · 128 · 127 < 2¹⁵) and go to 32 bits at once
//   others         8 rows: 32-bit multiplications
//
// Each has: kDotRows, kDotLanes (of its 32-bit sums), kDotTile (rows of A at once),
//   DotSums<kRows>   start(m, i32), lanes(m, n): the sums of A's row m and the panel's rows n … as i32 lanes
//   Dot<kind>        offset(): what is subtracted from each level, beyond what add_group() does itself;
//                    add_group(words, group, a, a_stride, sums)
#if defined(PARE_OPS_INTEGER_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_OPS_INTEGER_DOT_INL_H_
#undef PARE_OPS_INTEGER_DOT_INL_H_
#else
#define PARE_OPS_INTEGER_DOT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "ops/integer_gemm_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE i32 four_codes(const i8* a) {
  i32 codes;
  std::memcpy(&codes, a, 4);
  return codes;
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL

struct __attribute__((packed, may_alias)) FourCodes {
  i32 codes;
};
constexpr i64 kDotRows = 16, kDotLanes = 16, kDotTile = 12;

template <i64 kRows>
struct DotSums {
  __m512i sum[kRows];
  HWY_INLINE void start(i64 m, i32 value) { sum[m] = _mm512_set1_epi32(value); }
  HWY_INLINE auto lanes(i64 m, i64) const { return hn::Vec<hn::FixedTag<i32, 16>>{sum[m]}; }
};

template <cpu::CodeKind kKind>
class Dot {
 public:
  explicit Dot(const cpu::IntegerTile& t) : offset_(t.offset), first_(t.low_first ? 0 : 16) {
    if constexpr (kKind == cpu::CodeKind::levels) {
      const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(t.levels));
      levels_ = _mm512_xor_si512(_mm512_broadcast_i32x4(levels), _mm512_set1_epi8(-128));
    }
  }
  HWY_INLINE i32 offset() const { return kKind == cpu::CodeKind::nibbles ? offset_ : offset_ + 128; }

  template <i64 kRows>
  HWY_INLINE void add_group(
      const u32* words, i64 group, const i8* a, i64 a_stride, DotSums<kRows>& sums) const {
    if constexpr (kKind == cpu::CodeKind::bytes) {
      for (i64 k = 0; k < group; k += 4, words += kDotRows)
        add(_mm512_xor_si512(_mm512_loadu_si512(words), _mm512_set1_epi8(-128)), a + k, a_stride, sums);
    } else {
      const __m512i mask = _mm512_set1_epi8(15);
      for (i64 k = 0; k < group; k += 32) {
#pragma GCC unroll 4
        for (i64 j = 0; j < 4; ++j, words += kDotRows) {
          const __m512i both = _mm512_loadu_si512(words);
          __m512i low = _mm512_and_si512(both, mask),
                  high = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
          if constexpr (kKind == cpu::CodeKind::levels) {
            low = _mm512_shuffle_epi8(levels_, low);
            high = _mm512_shuffle_epi8(levels_, high);
          }
          add(low, a + k + 4 * j + first_, a_stride, sums);
          add(high, a + k + 4 * j + 16 - first_, a_stride, sums);
        }
      }
    }
  }

 private:
  template <i64 kRows>
  static HWY_INLINE void add(__m512i codes, const i8* a, i64 a_stride, DotSums<kRows>& sums) {
#pragma GCC unroll 12
    for (i64 m = 0; m < kRows; ++m) {
      // The intrinsic wants AVX512_VNNI by name, which Highway's target implies but does not set.
      asm("vpdpbusd %2%{1to16%}, %1, %0"
          : "+v"(sums.sum[m])
          : "v"(codes), "m"(*reinterpret_cast<const FourCodes*>(a + m * a_stride)));
    }
  }

  i32 offset_;
  i64 first_;
  __m512i levels_{};
};

#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2

constexpr i64 kDotRows = 8, kDotLanes = 8, kDotTile = 4;

template <i64 kRows>
struct DotSums {
  __m256i sum[kRows];
  HWY_INLINE void start(i64 m, i32 value) { sum[m] = _mm256_set1_epi32(value); }
  HWY_INLINE auto lanes(i64 m, i64) const { return hn::Vec<hn::FixedTag<i32, 8>>{sum[m]}; }
};

template <cpu::CodeKind kKind>
class Dot {
 public:
  explicit Dot(const cpu::IntegerTile& t) : offset_(t.offset), first_(t.low_first ? 0 : 16) {
    if constexpr (kKind == cpu::CodeKind::levels)
      levels_ = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(t.levels)));
  }
  HWY_INLINE i32 offset() const { return offset_; }

  template <i64 kRows>
  HWY_INLINE void add_group(
      const u32* words, i64 group, const i8* a, i64 a_stride, DotSums<kRows>& sums) const {
    if constexpr (kKind == cpu::CodeKind::bytes) {
      for (i64 k = 0; k < group; k += 4, words += kDotRows) add_signed(load(words), a + k, a_stride, sums);
    } else {
      for (i64 k = 0; k < group; k += 32, words += 4 * kDotRows)
        add_32(words, a + k + first_, a + k + 16 - first_, a_stride, sums);
    }
  }

 private:
  static HWY_INLINE __m256i load(const u32* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }

  template <i64 kRows>
  HWY_INLINE void add_32(
      const u32* words, const i8* a_low, const i8* a_high, i64 a_stride, DotSums<kRows>& sums) const {
    const __m256i mask = _mm256_set1_epi8(15);
    [[maybe_unused]] __m256i narrow[kRows];
#pragma GCC unroll 4
    for (i64 j = 0; j < 4; ++j) {
      const __m256i both = load(words + j * kDotRows);
      const __m256i low = _mm256_and_si256(both, mask),
                    high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
      if constexpr (kKind == cpu::CodeKind::levels) {
        add_signed(_mm256_shuffle_epi8(levels_, low), a_low + 4 * j, a_stride, sums);
        add_signed(_mm256_shuffle_epi8(levels_, high), a_high + 4 * j, a_stride, sums);
      } else {
#pragma GCC unroll 4
        for (i64 m = 0; m < kRows; ++m) {
          const __m256i pairs = _mm256_add_epi16(
              _mm256_maddubs_epi16(low, _mm256_set1_epi32(four_codes(a_low + 4 * j + m * a_stride))),
              _mm256_maddubs_epi16(high, _mm256_set1_epi32(four_codes(a_high + 4 * j + m * a_stride))));
          narrow[m] = j == 0 ? pairs : _mm256_add_epi16(narrow[m], pairs);
        }
      }
    }
    if constexpr (kKind == cpu::CodeKind::nibbles) {
      const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
      for (i64 m = 0; m < kRows; ++m)
        sums.sum[m] = _mm256_add_epi32(sums.sum[m], _mm256_madd_epi16(narrow[m], ones));
    }
  }

  template <i64 kRows>
  static HWY_INLINE void add_signed(__m256i levels, const i8* a, i64 a_stride, DotSums<kRows>& sums) {
    const __m256i magnitude = _mm256_abs_epi8(levels), ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (i64 m = 0; m < kRows; ++m) {
      const __m256i turned = _mm256_sign_epi8(_mm256_set1_epi32(four_codes(a + m * a_stride)), levels);
      sums.sum[m] =
          _mm256_add_epi32(sums.sum[m], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, turned), ones));
    }
  }

  i32 offset_;
  i64 first_;
  __m256i levels_{};
};

#else

constexpr i64 kDotRows = 8, kDotLanes = 8, kDotTile = 4;
using DotTag = hn::CappedTag<i32, 8>;

template <i64 kRows>
struct DotSums {
  i32 sum[kRows][kDotRows];
  HWY_INLINE void start(i64 m, i32 value) { std::fill_n(sum[m], kDotRows, value); }
  HWY_INLINE auto lanes(i64 m, i64 n) const { return hn::LoadU(DotTag(), sum[m] + n); }
};

template <cpu::CodeKind kKind>
class Dot {
 public:
  explicit Dot(const cpu::IntegerTile& t) : offset_(t.offset), first_(t.low_first ? 0 : 16) {
    for (i32 code = 0; code < 16; ++code)
      levels_[code] = kKind == cpu::CodeKind::levels ? t.levels[code] : static_cast<i8>(code);
  }
  HWY_INLINE i32 offset() const { return offset_; }

  template <i64 kRows>
  HWY_INLINE void add_group(
      const u32* words, i64 group, const i8* a, i64 a_stride, DotSums<kRows>& sums) const {
    if constexpr (kKind == cpu::CodeKind::bytes) {
      for (i64 k = 0; k < group; ++k)
        add(k % 4 * 8, words + k / 4 * kDotRows, a + k, a_stride, sums, [](u32 bits) {
          return static_cast<i32>(static_cast<i8>(bits));
        });
    } else {
      const auto level = [this](u32 bits) { return static_cast<i32>(levels_[bits & 15]); };
      for (i64 k = 0; k < group / 2; ++k) {
        const u32* word = words + k / 4 * kDotRows;
        const i8* at = a + k / 16 * 32 + k % 16;
        add(k % 4 * 8, word, at + first_, a_stride, sums, level);
        add(k % 4 * 8 + 4, word, at + 16 - first_, a_stride, sums, level);
      }
    }
  }

 private:
  template <i64 kRows, class Level>
  static HWY_INLINE void add(
      i64 shift, const u32* words, const i8* a, i64 a_stride, DotSums<kRows>& sums, const Level& level) {
    const DotTag d;
    i32 levels[kDotRows];
    for (i64 n = 0; n < kDotRows; ++n) levels[n] = level(words[n] >> shift);
    for (i64 m = 0; m < kRows; ++m) {
      const auto code = hn::Set(d, static_cast<i32>(a[m * a_stride]));
      for (i64 n = 0; n < kDotRows; n += static_cast<i64>(hn::Lanes(d))) {
        i32* to = sums.sum[m] + n;
        hn::StoreU(hn::Add(hn::LoadU(d, to), hn::Mul(code, hn::LoadU(d, levels + n))), d, to);
      }
    }
  }

  i32 offset_;
  i64 first_;
  i8 levels_[16];
};

#endif

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
