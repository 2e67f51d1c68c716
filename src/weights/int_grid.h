// The values that b-bit integers can stand for in one group of weights: ŵ = scale · (code − zero).
//
//   symmetric   zero = 2^(b−1), scale = m / −2^(b−1) with m the weight of largest magnitude, sign and all: it
//   gets
//               code 0 and all 2^b codes are used (the scale is negative when m is positive)
//   asymmetric  the range is widened to hold 0: zero is an integer, so a weight of 0 stays exactly 0
//
// The scale is rounded to the dtype that stores it before any code is chosen, so codes are nearest for the
// values that are decoded, and quantising decoded weights again changes nothing.
#pragma once
#include <span>

#include "tensor/tensor.h"

namespace pare {

struct IntGrid {
  float scale = 1;
  int zero = 0;
  int top = 15;  // 2^bits − 1

  /// The nearest code; halves go away from zero.
  int code(float w) const;
  float value(int code) const { return scale * static_cast<float>(code - zero); }
};

/// The grid for a group of finite weights; a group of zeros gets scale 1. `scale_dtype`: f16, bf16 or f32.
/// Groups so small that a scale of f32 would be subnormal count as zeros. In f16 a scale may vanish or
/// overflow: ask fits_f16().
IntGrid fit_int_grid(std::span<const float> group, int bits, bool symmetric, DType scale_dtype);

/// `scale` as f16, bf16 or f32 holds it (nearest even).
float stored_scale(float scale, DType dtype);

/// Whether `grid`'s scale keeps its full precision in f16: neither overflowed nor subnormal.
bool fits_f16(const IntGrid& grid);

}  // namespace pare
