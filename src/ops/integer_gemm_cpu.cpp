#include "ops/integer_gemm_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/integer_gemm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ops/integer_dot-inl.h"
#include "ops/integer_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using cpu::CodeKind;
using cpu::IntegerTile;

constexpr float kTiny = 0x1p-100f;  // below it a group counts as zeros: its reciprocal might be infinite

/// The largest |x[i]|, as bits: above those of infinity where one is NaN.
u32 largest_bits(const float* x, i64 n) {
#if HWY_TARGET == HWY_SCALAR
  u32 most = 0;
  for (i64 i = 0; i < n; ++i) {
    u32 bits;
    std::memcpy(&bits, x + i, 4);
    most = std::max(most, bits & 0x7fffffffu);
  }
  return most;
#else
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  auto most = hn::Zero(di);
  for (i64 i = 0; i < n; i += static_cast<i64>(hn::Lanes(d)))
    most = hn::Max(most, hn::And(hn::BitCast(di, hn::LoadU(d, x + i)), hn::Set(di, 0x7fffffff)));
  return static_cast<u32>(hn::GetLane(hn::MaxOfLanes(di, most)));
#endif
}

/// round(x · by) of a group; returns the sum of the codes.
i32 round_group(const float* x, i64 n, float by, bool even_odd, i8* codes) {
#if HWY_TARGET == HWY_SCALAR
  i32 sum = 0;
  for (i64 i = 0; i < n; ++i) {
    const auto code = static_cast<i8>(std::nearbyint(x[i] * by));
    const i64 at = even_odd ? i / 32 * 32 + i % 32 / 2 + i % 2 * 16 : i;
    codes[at] = code;
    sum += code;
  }
  return sum;
#else
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<i8, decltype(d)> d8;
  const i64 lanes = static_cast<i64>(hn::Lanes(d));
  const auto factor = hn::Set(d, by);
  auto sum = hn::Zero(di);
  const auto rounded = [&](i64 i) HWY_ATTR {
    const auto code = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor));
    sum = hn::Add(sum, code);
    return code;
  };
  if (!even_odd) {
    for (i64 i = 0; i < n; i += lanes) hn::StoreU(hn::DemoteTo(d8, rounded(i)), d8, codes + i);
  } else {
    for (i64 b = 0; b < n; b += 32) {
      for (i64 i = 0; i < 32; i += 2 * lanes) {
        const auto first = rounded(b + i), second = rounded(b + i + lanes);
        hn::StoreU(hn::DemoteTo(d8, hn::ConcatEven(di, second, first)), d8, codes + b + i / 2);
        hn::StoreU(hn::DemoteTo(d8, hn::ConcatOdd(di, second, first)), d8, codes + b + 16 + i / 2);
      }
    }
  }
  return hn::GetLane(hn::SumOfLanes(di, sum));
#endif
}

void round_row(const float* x, i64 groups, i64 group, bool even_odd, i8* codes, float* scales, i32* sums) {
  for (i64 g = 0; g < groups; ++g, x += group, codes += group) {
    const u32 bits = largest_bits(x, group);
    float most;
    std::memcpy(&most, &bits, 4);
    const bool finite = bits < 0x7f800000u;
    if (!finite || most < kTiny) {
      std::memset(codes, 0, static_cast<std::size_t>(group));
      scales[g] = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
      sums[g] = 0;
      continue;
    }
    scales[g] = most / 127.0f;
    sums[g] = round_group(x, group, 127.0f / most, even_odd, codes);
  }
}

template <CodeKind kKind, i64 kRows>
void tile_rows(const IntegerTile& t) {
  const Dot<kKind> dot(t);
  const hn::CappedTag<float, kDotLanes> d;
  for (i64 g = 0; g < t.groups; ++g) {
    DotSums<kRows> dots;
    const i32* a_sums = t.a_sums + g;
    for (i64 m = 0; m < kRows; ++m) dots.start(m, -dot.offset() * a_sums[m * t.a_groups]);
    const i64 words = kKind == CodeKind::bytes ? t.group / 4 : t.group / 8;
    dot.add_group(t.panel + g * words * kDotRows, t.group, t.a + g * t.group, t.a_stride, dots);
    for (i64 n = 0; n < kDotRows; n += static_cast<i64>(hn::Lanes(d))) {
      const auto scale = hn::LoadU(d, t.scales + g * kDotRows + n);
      const auto min = t.mins ? hn::LoadU(d, t.mins + g * kDotRows + n) : hn::Zero(d);
      for (i64 m = 0; m < kRows; ++m) {
        float* to = t.sums + m * kDotRows + n;
        const float step = t.a_scales[m * t.a_groups + g];
        auto sum = hn::LoadU(d, to);
        sum = hn::MulAdd(hn::Mul(hn::ConvertTo(d, dots.lanes(m, n)), hn::Set(d, step)), scale, sum);
        if (t.mins)
          sum = hn::NegMulAdd(hn::Set(d, step * static_cast<float>(a_sums[m * t.a_groups])), min, sum);
        hn::StoreU(sum, d, to);
      }
    }
  }
}

template <CodeKind kKind>
void tile_of(const IntegerTile& t) {
  static_assert(kDotTile == 4 || kDotTile == 12);
  IntegerTile rest = t;
  const auto go = [&](auto rows) {
    constexpr i64 kRows = decltype(rows)::value;
    tile_rows<kKind, kRows>(rest);
    rest.a += kRows * t.a_stride;
    rest.a_scales += kRows * t.a_groups;
    rest.a_sums += kRows * t.a_groups;
    rest.sums += kRows * kDotRows;
    rest.rows -= kRows;
  };
  if constexpr (kDotTile == 12)
    if (rest.rows == 12) return go(std::integral_constant<i64, 12>());
  while (rest.rows >= 4) go(std::integral_constant<i64, 4>());
  if (rest.rows >= 2) go(std::integral_constant<i64, 2>());
  if (rest.rows >= 1) go(std::integral_constant<i64, 1>());
}

void tile(const IntegerTile& t) {
  switch (t.kind) {
    case CodeKind::nibbles:
      return tile_of<CodeKind::nibbles>(t);
    case CodeKind::levels:
      return tile_of<CodeKind::levels>(t);
    case CodeKind::bytes:
      return tile_of<CodeKind::bytes>(t);
  }
}

cpu::IntegerKernels integer_kernels() {
  return {kDotTile, kDotRows, round_row, tile, kHasRowDot ? row : nullptr};
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(integer_kernels);
IntegerKernels integer_kernels() { return HWY_DYNAMIC_DISPATCH(integer_kernels)(); }
}  // namespace pare::cpu
#endif
