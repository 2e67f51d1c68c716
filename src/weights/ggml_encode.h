// Rounding rows of f32 to the blocks of GGUF files, by the rules of ggml's reference quantiser (without an
// importance matrix): the same bytes where no compiler reorders its sums.
// Source: ggml (ggml-quants.c, quantize_row_*_ref); the K formats minimise a weighted squared error by
// trying a few steps around max/levels and solving least squares for each.
#pragma once
#include "weights/ggml_types.h"
#include "weights/weight.h"

namespace pare {

/// x: `count` finite values, a multiple of the block  →  writes count/values blocks. f32, f16 and bf16 are
/// stored as they are or rounded to nearest even. REQUIRES: the type is packed or dense.
void encode_ggml(GgmlType type, const float* x, i64 count, u8* blocks);

/// w (N, K) f32 as blocks, rows in parallel. Throws a user error on NaN or Inf, naming row and column, on K
/// that is no multiple of the block, and on weights so large that a scale does not fit f16.
Weight quantize_ggml_block(const Tensor& w, GgmlType type);

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
    if (__builtin_fabsf(x[i]) > __builtin_fabsf(value)) value = x[i];
  return value;
}

/// One block of 256 values of a K format: weights/ggml_encode_k.cpp.
void encode_ggml_k_block(GgmlType type, const float* x, u8* block);

}  // namespace pare
