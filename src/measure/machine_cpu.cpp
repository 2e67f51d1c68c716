#include "measure/machine_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "measure/machine_cpu.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// The tiers that have the instructions; elsewhere the plain version returns 0.
#undef PARE_BF16
#undef PARE_INT8
#define PARE_BF16 (HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3_DL)
#define PARE_INT8 \
  (HWY_ARCH_X86 && (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL))

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two units × a latency of 4 or 5 want 10 chains; 12 and their two constants fit into 16 registers.
constexpr int kChains = 12;

using Words = hn::ScalableTag<u32>;
constexpr i64 kWordLanes = HWY_LANES(u32);

/// XOR of `words` words behind each of `kStreams` pointers that are `gap` words apart.
template <int kStreams, int kAheadWords>
u32 read_streams(const u32* HWY_RESTRICT from, i64 words, i64 gap) {
  const Words d;
  constexpr int kPerLine = 64 / 4;                                           // a cache line
  constexpr int kLoads = kPerLine > kWordLanes ? kPerLine / kWordLanes : 1;  // vectors a line
  auto a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), e = hn::Zero(d);
  for (i64 i = 0; i < words; i += kPerLine) {
    for (int s = 0; s < kStreams; ++s) {
      const u32* line = from + s * gap + i;
      // Beyond the buffer's end a prefetch does nothing.
      if (kAheadWords > 0) hwy::Prefetch(line + kAheadWords);
      for (int v = 0; v < kLoads; v += 4) {
        a = hn::Xor(a, hn::Load(d, line + v * kWordLanes));
        if (v + 1 < kLoads) b = hn::Xor(b, hn::Load(d, line + (v + 1) * kWordLanes));
        if (v + 2 < kLoads) c = hn::Xor(c, hn::Load(d, line + (v + 2) * kWordLanes));
        if (v + 3 < kLoads) e = hn::Xor(e, hn::Load(d, line + (v + 3) * kWordLanes));
      }
    }
  }
  HWY_ALIGN u32 lanes[HWY_LANES(u32)];
  hn::Store(hn::Xor(hn::Xor(a, b), hn::Xor(c, e)), d, lanes);
  u32 sum = 0;
  for (i64 i = 0; i < kWordLanes; ++i) sum ^= lanes[i];
  return sum;
}

u32 read_words(const u32* from, i64 words, int pattern) {
  if (pattern == 0) return read_streams<1, 0>(from, words, 0);
  if (pattern == 1) return read_streams<1, 512>(from, words, 0);
  return read_streams<4, 0>(from, words / 4, words / 4);
}

double f32_work(i64 steps, float* sink) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  // x ← x/2 + 1/2 goes to 1: no overflow, no denormal, and nothing that could be taken out of the loop.
  const V half = hn::Set(d, 0.5f);
  V x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = hn::Set(d, static_cast<float>(c));
  for (i64 i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) x[c] = hn::MulAdd(x[c], half, half);
  }
  V sum = x[0];
  for (int c = 1; c < kChains; ++c) sum = hn::Add(sum, x[c]);
  *sink = hn::GetLane(sum);
  return 2.0 * static_cast<double>(steps) * kChains * HWY_LANES(float);
}

#if PARE_BF16
__attribute__((target("avx512bf16"))) double bf16_work(i64 steps, float* sink) {
  if (!__builtin_cpu_supports("avx512bf16")) return 0;
  __m512 x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = _mm512_set1_ps(static_cast<float>(c));
  // Pairs of 1 and -1 against 1: every step adds zero, so nothing overflows.
  const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3F80BF80), b = (__m512bh)_mm512_set1_epi32(0x3F803F80);
  for (i64 i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) x[c] = _mm512_dpbf16_ps(x[c], a, b);
  }
  __m512 sum = x[0];
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, x[c]);
  *sink = _mm512_cvtss_f32(sum);
  return 2.0 * static_cast<double>(steps) * kChains * 32;
}
#else
double bf16_work(i64, float*) { return 0; }
#endif

#if PARE_INT8 && HWY_TARGET == HWY_AVX3_DL
__attribute__((target("avx512vnni"))) double int8_work(i64 steps, float* sink) {
  __m512i x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = _mm512_set1_epi32(c);
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-5);
  for (i64 i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) x[c] = _mm512_dpbusd_epi32(x[c], a, b);
  }
  __m512i sum = x[0];
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_epi32(sum, x[c]);
  *sink = static_cast<float>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sum)));
  return 2.0 * static_cast<double>(steps) * kChains * 64;
}
#elif PARE_INT8
double int8_work(i64 steps, float* sink) {
#if HWY_TARGET == HWY_AVX2
  using V = __m256i;
  const auto set8 = [](char value) HWY_ATTR { return _mm256_set1_epi8(value); };
  const auto set16 = [](short value) HWY_ATTR { return _mm256_set1_epi16(value); };
  const auto add = [](V p, V q) HWY_ATTR { return _mm256_add_epi32(p, q); };
  const auto dot = [](V sum, V bytes, V ones) HWY_ATTR {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(sum, bytes), ones));
  };
  const auto first = [](V v) HWY_ATTR { return _mm_cvtsi128_si32(_mm256_castsi256_si128(v)); };
#else
  using V = __m512i;
  const auto set8 = [](char value) HWY_ATTR { return _mm512_set1_epi8(value); };
  const auto set16 = [](short value) HWY_ATTR { return _mm512_set1_epi16(value); };
  const auto add = [](V p, V q) HWY_ATTR { return _mm512_add_epi32(p, q); };
  const auto dot = [](V sum, V bytes, V ones) HWY_ATTR {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(sum, bytes), ones));
  };
  const auto first = [](V v) HWY_ATTR { return _mm_cvtsi128_si32(_mm512_castsi512_si128(v)); };
#endif
  constexpr int kDots = 8;  // each needs a temporary: 12 would not fit into 16 registers
  V x[kDots];
  for (int c = 0; c < kDots; ++c) x[c] = set8(static_cast<char>(c));
  // The sum is also a factor: with constants alone the products would be taken out of the loop.
  const V bytes = set8(-5), ones = set16(1);
  for (i64 i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kDots; ++c) x[c] = dot(x[c], bytes, ones);
  }
  V sum = x[0];
  for (int c = 1; c < kDots; ++c) sum = add(sum, x[c]);
  *sink = static_cast<float>(first(sum));
  return 2.0 * static_cast<double>(steps) * kDots * static_cast<double>(sizeof(V));
}
#else
double int8_work(i64, float*) { return 0; }
#endif

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(read_words);
HWY_EXPORT(f32_work);
HWY_EXPORT(bf16_work);
HWY_EXPORT(int8_work);
}  // namespace pare

namespace pare::cpu {
u32 read_words(const u32* from, i64 words, int pattern) {
  return HWY_DYNAMIC_DISPATCH(pare::read_words)(from, words, pattern);
}
double f32_work(i64 steps, float* sink) { return HWY_DYNAMIC_DISPATCH(pare::f32_work)(steps, sink); }
double bf16_work(i64 steps, float* sink) { return HWY_DYNAMIC_DISPATCH(pare::bf16_work)(steps, sink); }
double int8_work(i64 steps, float* sink) { return HWY_DYNAMIC_DISPATCH(pare::int8_work)(steps, sink); }
}  // namespace pare::cpu
#endif
