// The scale searches behind the encoders of GGUF blocks (weights/ggml_encode.h): a few steps around
// most/largest, a weighted least squares for each, and the best kept.
// Source: ggml (ggml-quants.c, make_qkx2_quants, make_qkx3_quants, make_qx_quants, make_q3_quants,
// make_qp_quants): the same bits where no compiler reorders its sums.
//
// x, w and codes have n ≤ 32 values; w ≥ 0.
#pragma once
#include <cmath>

#include "base/types.h"

namespace pare {

/// The integer nearest to x, ties to even. REQUIRES: |x| < 2²².
inline int nearest_int(float x) {
  // Adding 1.5·2²³ leaves the rounded integer in the low bits of the mantissa. Kept for values out of range
  // too: the reference's bytes depend on it.
  const float moved = x + 12582912.0f;
  u32 bits;
  __builtin_memcpy(&bits, &moved, 4);
  return static_cast<int>(bits & 0x007fffff) - 0x00400000;
}

/// The one of n values that has the largest magnitude, with its sign; the first of equals.
inline float extreme(const float* x, int n) {
  float value = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > std::fabs(value)) value = x[i];
  return value;
}

inline float sum_of_squares(const float* x, i64 n) {
  float sum = 0;
  for (i64 i = 0; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

/// w = x²: what an error counts where nothing is known of the inputs.
inline void square_weights(const float* x, int n, float* w) {
  for (int i = 0; i < n; ++i) w[i] = x[i] * x[i];
}
/// w = importance · √(σ² + x²).
inline void importance_weights(const float* x, const float* importance, float sigma2, int n, float* w) {
  for (int i = 0; i < n; ++i) w[i] = importance[i] * std::sqrt(sigma2 + x[i] * x[i]);
}

// ---- x ≈ scale · code + min, min ≤ 0 ----

struct RangeSearch {
  int n, most;  // values, largest code
  float first, step;
  int steps;
  bool absolute;  // error is Σ w |x − x̂| instead of Σ w (x − x̂)²
};
/// Of the encoders that know an importance.
inline RangeSearch fine_search(int n, int most) { return {n, most, -0.9f, 0.05f, 36, false}; }

struct ScaleMin {
  float scale, min;
};
/// Tries steps of the grid around most/(max − min). `min` of the result is ≤ 0. Writes its codes, 0 … most.
ScaleMin fit_range(const RangeSearch& s, const float* x, const float* w, int* codes);

// ---- x ≈ scale · code, −levels ≤ code < levels ----

/// Tries 19 steps around −levels/extreme. Returns the scale, 0 where the values are nearly nothing, and where
/// every value with a weight rounds to 0. Writes codes + levels.
float fit_symmetric(int n, int levels, const float* x, const float* w, int* codes);

/// As fit_symmetric(), with weights that may be zero. Deviation from the reference, which makes a block zero
/// when no value with a weight can be told from 0: then w = x², as where no importance is known.
float fit_important(int n, int levels, const float* x, const float* w, int* codes);

/// w = x². Moves one code at a time to where the error falls, at most five rounds.
float fit_by_moves(int n, int levels, const float* x, int* codes);

// ---- x ≈ scale · code, 0 ≤ code ≤ most ----

/// The scales of a block's sub-blocks: tries 9 steps around most/max, then moves codes. Deviation from the
/// reference: without any weight all values count alike (there the result is 0), and no code is below 0.
float fit_positive(int n, int most, const float* x, const float* w, int* codes);

}  // namespace pare
