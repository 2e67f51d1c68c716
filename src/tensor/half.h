// Scalar conversions between f32 and the 16-bit floats, round to nearest even.
#pragma once
#include <bit>

#include "base/types.h"

namespace pare {

inline float bf16_to_f32(u16 h) { return std::bit_cast<float>(static_cast<u32>(h) << 16); }

inline u16 f32_to_bf16(float f) {
  const u32 bits = std::bit_cast<u32>(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<u16>((bits >> 16) | 0x40);  // keep NaN a NaN
  return static_cast<u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float f16_to_f32(u16 h) {
  const u32 sign = static_cast<u32>(h & 0x8000) << 16;
  const u32 exponent = (h >> 10) & 0x1f, mantissa = h & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal: mantissa · 2⁻²⁴, exact in f32.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<u32>(magnitude));
}

inline u16 f32_to_f16(float f) {
  const u32 bits = std::bit_cast<u32>(f);
  const u32 sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<u16>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<u16>(sign | 0x7c00);  // rounds to infinity
  if (magnitude < 0x38800000) {  // subnormal result: let the FPU round at 2⁻²⁴
    const float scaled = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<u16>(sign | (std::bit_cast<u32>(scaled) - 0x3f000000));
  }
  const u32 odd = (magnitude >> 13) & 1;
  return static_cast<u16>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

}  // namespace pare
