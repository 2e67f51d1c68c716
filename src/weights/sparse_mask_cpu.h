// The decoding kernels of weights/sparse_mask.h for the running vector tier.
#pragma once
#include "tensor/tensor.h"

namespace pare::cpu {

/// Values of a row that follow each other: f32, bf16, f16, or i8 and u8 (e4m3) times `scale`. kReadAhead
/// values behind those that are used must be readable.
inline constexpr i64 kReadAhead = 16;
struct SparseValues {
  const void* raw;
  DType dtype;
  float scale;
};

/// dst[i] = the next value where bit from + i of `mask` is set, else 0 (times scale), for i < to − from.
void decode_sparse_run(const SparseValues& values, const u8* mask, i64 from, i64 to, float* dst);

}  // namespace pare::cpu
