// Conversions of the 16-bit floats against their definitions, for all patterns and around every midpoint.
#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace pare {
namespace {

/// The value of a pattern with `mantissa` bits of fraction and `exponent` bits, by definition.
double value_of(u16 bits, int exponent, int mantissa) {
  const int bias = (1 << (exponent - 1)) - 1, top = (1 << exponent) - 1;
  const int e = (bits >> mantissa) & top, m = bits & ((1 << mantissa) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (e == top) return m ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (e == 0) return sign * std::ldexp(m, 1 - bias - mantissa);
  return sign * std::ldexp((1 << mantissa) + m, e - bias - mantissa);
}

struct Kind {
  const char* name;
  int exponent, mantissa;
  float (*wide)(u16);
  u16 (*narrow)(float);
  u16 infinity() const { return static_cast<u16>(((1 << exponent) - 1) << mantissa); }
};
const Kind kKinds[] = {{"f16", 5, 10, f16_to_f32, f32_to_f16}, {"bf16", 8, 7, bf16_to_f32, f32_to_bf16}};

TEST(Half, EveryPatternHasItsValueAndComesBack) {
  for (const Kind& kind : kKinds)
    for (int i = 0; i < 65536; ++i) {
      const u16 bits = static_cast<u16>(i);
      const double want = value_of(bits, kind.exponent, kind.mantissa);
      const float got = kind.wide(bits);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(got)) << kind.name << " " << i;
        const u16 again = kind.narrow(got);
        ASSERT_TRUE(std::isnan(kind.wide(again))) << kind.name << " " << i;
        ASSERT_EQ(again & 0x8000, bits & 0x8000) << "the sign of a NaN";
        continue;
      }
      ASSERT_EQ(got, want) << kind.name << " " << i;
      ASSERT_EQ(std::signbit(got), std::signbit(want)) << kind.name << " " << i;
      ASSERT_EQ(kind.narrow(got), bits) << kind.name << " " << i;
    }
}

TEST(Half, MidpointsGoToEvenAndTheirNeighboursToTheNearest) {
  for (const Kind& kind : kKinds)
    for (int i = 0; i < kind.infinity(); ++i) {
      const double low = value_of(static_cast<u16>(i), kind.exponent, kind.mantissa);
      // Above the largest number the next step would be one more of the same width: from its middle on it is
      // infinity.
      const double step = i + 1 < kind.infinity()
                              ? value_of(static_cast<u16>(i + 1), kind.exponent, kind.mantissa) - low
                              : low - value_of(static_cast<u16>(i - 1), kind.exponent, kind.mantissa);
      const float middle = static_cast<float>(low + step / 2);
      if (middle != low + step / 2) continue;  // bf16 below f32's subnormals: no such number
      const u16 even = static_cast<u16>(i % 2 ? i + 1 : i);
      for (const u16 sign : {u16{0}, u16{0x8000}}) {
        const auto narrow = [&](float x) { return kind.narrow(sign ? -x : x); };
        ASSERT_EQ(narrow(middle), even | sign) << kind.name << " " << i;
        ASSERT_EQ(narrow(std::nextafter(middle, 0.0f)), i | sign) << kind.name << " " << i;
        if (const float above = std::nextafter(middle, INFINITY); std::isfinite(above))
          ASSERT_EQ(narrow(above), (i + 1) | sign) << kind.name << " " << i;
      }
    }
}

TEST(Half, TheRestOfF32) {
  for (const Kind& kind : kKinds) {
    const u16 infinity = kind.infinity();
    EXPECT_EQ(kind.narrow(INFINITY), infinity);
    EXPECT_EQ(kind.narrow(-INFINITY), infinity | 0x8000);
    EXPECT_EQ(kind.narrow(std::numeric_limits<float>::max()), infinity);
    EXPECT_EQ(kind.narrow(-0.0f), 0x8000);
    EXPECT_EQ(kind.narrow(std::numeric_limits<float>::denorm_min()), 0);
    // NaNs whose payload lies in the bits that are cut off stay NaN.
    for (const u32 payload : {1u, 0x1fffu, 0xffffu, 0x7fffffu, 0x400000u})
      for (const u32 sign : {0u, 0x80000000u}) {
        const u16 bits = kind.narrow(std::bit_cast<float>(sign | 0x7f800000u | payload));
        EXPECT_TRUE(std::isnan(kind.wide(bits))) << kind.name << " " << payload;
        EXPECT_EQ(bits >> 15, sign >> 31);
      }
  }
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_bf16(1.00390625f), 0x3f80);  // 1 + 2⁻⁸, halfway
  EXPECT_EQ(f32_to_bf16(1.01171875f), 0x3f82);  // 1 + 3·2⁻⁸, halfway
}

}  // namespace
}  // namespace pare
