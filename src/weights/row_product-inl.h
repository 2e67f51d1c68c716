// One row of activations times rows of W as they lie, in the order of sums of weights/linear.h: for decoding,
// where turning W into panels first would cost more than the product. Compiled once per target.
//
//   y[n] (+)= Σ_k x[k] · W[n,k]      blocks of kGemmDepth, a chain of fused multiply-adds in each
//
// A lane is a row of W: blocks of 8 x 8 words are transposed, then multiplied. Several groups of 8 rows at
// once, an instruction of each after the other: a chain waits four cycles for each of its own. AVX2 and
// later; kHasRowProduct says so.
//
// A kind of rows is an object for eight of them, with
//   kPairs                words are pairs of bf16, else floats
//   kBlocks               blocks of 8 words that are taken at once: a line of the cache, since rows whose
//                         distance is a power of two drive each other out of it
//   kLinesAhead           lines of memory that eight rows take while so many blocks are multiplied
//   load(k, words)        8 words of each row from input k on: words[r] = {the first four of row r, of row r
//   +
//                         4}, words[4 + r] = {the others} for r < 4. k goes up from 0, block by block
//   tail(k, count, out)   fewer inputs than kBlocks blocks have, as floats: out[32·r + i]
#if defined(PARE_WEIGHTS_ROW_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_WEIGHTS_ROW_PRODUCT_INL_H_
#undef PARE_WEIGHTS_ROW_PRODUCT_INL_H_
#else
#define PARE_WEIGHTS_ROW_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "ops/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr i64 kRowsAtOnce = 32;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2

constexpr bool kHasRowProduct = true;

/// Four vectors as load() gives them, to four of one word of all rows each.
HWY_INLINE void turn_words(__m256i* v) {
  const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]),
                c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm256_unpacklo_epi64(a, c);
  v[1] = _mm256_unpackhi_epi64(a, c);
  v[2] = _mm256_unpacklo_epi64(b, d);
  v[3] = _mm256_unpackhi_epi64(b, d);
}

/// 16 bytes of a row and of the one four rows below.
HWY_INLINE __m256i two_rows(const void* row, const void* fourth_below) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(row))),
                                 _mm_loadu_si128(static_cast<const __m128i*>(fourth_below)),
                                 1);
}

constexpr i64 kGroups = kRowsAtOnce / 8;
template <class Rows>
constexpr i64 kInputs = Rows::kBlocks*(Rows::kPairs ? 16 : 8);

/// sums[g] += x[k …] · W[…, k …] of the groups of rows, one input after the other.
template <class Rows>
HWY_INLINE void add_blocks(Rows* rows, const float* x, i64 k, const char* ahead, __m256* sums) {
  constexpr i64 kWords = 8 * Rows::kBlocks, kStep = kInputs<Rows> / Rows::kBlocks;
  alignas(32) __m256i turned[kGroups][kWords];
  for (i64 g = 0; g < kGroups; ++g) {
    if (ahead)  // in the order in which it lies: memory gives most to one who reads on
      for (i64 i = 0; i < Rows::kLinesAhead; ++i)
        _mm_prefetch(ahead + (Rows::kLinesAhead * g + i) * 64, _MM_HINT_T1);
#pragma GCC unroll 4
    for (i64 b = 0; b < Rows::kBlocks; ++b) {
      __m256i v[8];
      rows[g].load(k + b * kStep, v);
      turn_words(v);
      turn_words(v + 4);
#pragma GCC unroll 8
      for (i64 i = 0; i < 8; ++i) turned[g][8 * b + i] = v[i];
    }
  }
  const float* at = x + k;
  for (i64 i = 0; i < kWords; ++i) {
    if constexpr (Rows::kPairs) {
      const __m256 first = _mm256_broadcast_ss(at + 2 * i), second = _mm256_broadcast_ss(at + 2 * i + 1);
      const __m256i upper = _mm256_set1_epi32(static_cast<i32>(0xffff0000u));
#pragma GCC unroll 8
      for (i64 g = 0; g < kGroups; ++g)
        sums[g] = _mm256_fmadd_ps(first, _mm256_castsi256_ps(_mm256_slli_epi32(turned[g][i], 16)), sums[g]);
#pragma GCC unroll 8
      for (i64 g = 0; g < kGroups; ++g)
        sums[g] =
            _mm256_fmadd_ps(second, _mm256_castsi256_ps(_mm256_and_si256(turned[g][i], upper)), sums[g]);
    } else {
      const __m256 factor = _mm256_broadcast_ss(at + i);
#pragma GCC unroll 8
      for (i64 g = 0; g < kGroups; ++g)
        sums[g] = _mm256_fmadd_ps(factor, _mm256_castsi256_ps(turned[g][i]), sums[g]);
    }
  }
}

/// The last inputs of a row.
template <class Rows>
HWY_INLINE __m256 add_tail(Rows& rows, const float* x, i64 k, i64 count, __m256 sum) {
  alignas(32) float values[8 * 32], sums[8];
  rows.tail(k, count, values);
  _mm256_store_ps(sums, sum);
  for (i64 i = 0; i < count; ++i)
    for (i64 r = 0; r < 8; ++r) sums[r] = std::fma(x[k + i], values[32 * r + i], sums[r]);
  return _mm256_load_ps(sums);
}

/// rows: kGroups objects. y (kRowsAtOnce); `add` to what it holds. `next` is what lies behind the rows and
/// is asked for meanwhile, or null; an address behind the weight does no harm.
template <class Rows>
void multiply_rows(Rows* rows, const float* x, i64 K, float* y, bool add, const void* next = nullptr) {
  const auto* ahead = static_cast<const char*>(next);
  constexpr i64 kStep = kInputs<Rows>;
  for (i64 k0 = 0; k0 < K; k0 += kGemmDepth) {
    const i64 end = std::min(K, k0 + kGemmDepth), whole = k0 + (end - k0) / kStep * kStep;
    __m256 sums[kGroups];
#pragma GCC unroll 8
    for (__m256& s : sums) s = _mm256_setzero_ps();
    for (i64 k = k0; k < whole; k += kStep) {
      add_blocks(rows, x, k, ahead, sums);
      if (ahead) ahead += kGroups * Rows::kLinesAhead * 64;
    }
    if (whole < end)
      for (i64 g = 0; g < kGroups; ++g) sums[g] = add_tail(rows[g], x, whole, end - whole, sums[g]);
    for (i64 g = 0; g < kGroups; ++g) {
      float* to = y + 8 * g;
      _mm256_storeu_ps(to, add || k0 > 0 ? _mm256_add_ps(_mm256_loadu_ps(to), sums[g]) : sums[g]);
    }
  }
}

#else

constexpr bool kHasRowProduct = false;

#endif

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
