// The decoding kernels of weights/sparse_mask.h for the running vector tier.
#pragma once
#include "tensor/tensor.h"

namespace pare::cpu {

/// A row's values from some column on, which follow each other: f32, bf16, f16, or i8 and u8 (e4m3) times
/// `scale`. kReadAhead values behind those that are used must be readable.
inline constexpr i64 kReadAhead = 16;
struct SparseRow {
  const void* raw;
  const u8* mask;
  float scale;
};

/// dst[r·stride + i] = row r's next value where bit from + i of its mask is set, else 0 (times scale), for
/// i < to − from.
void decode_sparse_rows(
    DType dtype, const SparseRow* rows, i64 count, i64 from, i64 to, float* dst, i64 stride);

/// out[i] = the next of `raw` where bit from + i of the mask is set, else 0, for i < to − from. Up to
/// kReadAhead bytes behind those that are used are read.
void expand_bytes(const u8* mask, i64 from, i64 to, const u8* raw, u8* out);

/// Rows that one call multiplies.
inline constexpr i64 kSparseRows = 32;
/// y[r] (+)= Σ_k x[k] · W[r,k] over `depth` ≤ kGemmDepth columns whose mask and values begin at those of the
/// kSparseRows rows: one block of the sums of weights/linear.h. Reads as decode_sparse_rows() does; `next` is
/// read after these rows, or null. False, and nothing done, where the tier has no such kernel.
bool multiply_sparse_rows(
    DType dtype, const SparseRow* rows, i64 depth, const float* x, float* y, bool add, const void* next);

}  // namespace pare::cpu
