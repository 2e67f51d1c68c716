// Rows of 16-bit floats to f32, exact, and rows rounded to them, on the widest vectors of the CPU.
#pragma once
#include "base/types.h"
#include "tensor/tensor.h"

namespace pare {

/// dst[i] = src[i] for i < n. They must not overlap.
void bf16_to_f32(const u16* src, i64 n, float* dst);
void f16_to_f32(const u16* src, i64 n, float* dst);

/// Values [first, first + count) of `values` (f32, bf16 or f16) to f32, exact.
void widen(const Tensor& values, i64 first, i64 count, float* dst);

/// Rounds each value to the nearest of `dtype` (f32: as it is, bf16, f16), halves to even: what a library
/// that computes in that dtype would hold. Too large a value becomes infinite, NaN stays NaN.
void round_to(DType dtype, float* values, i64 n);
/// As above for a tile of rows at `values + r·stride`.
void round_tile_to(DType dtype, float* values, i64 rows, i64 cols, i64 stride);

}  // namespace pare
