// The decoding kernels of weights/float_group.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

/// The 256 values of e4m3, by code.
const float* e4m3_table();

/// dst[i] = value(codes[i]) for i < n.
void decode_e4m3(const u8* codes, i64 n, float* dst);
/// dst[k − k0] = value(code k of `row`) for k0 <= k < k1; code k is nibble k%2 of byte k/2, low first.
void decode_e2m1(const u8* row, i64 k0, i64 k1, float* dst);
/// dst[k − k0] *= scales[k/run − k0/run] for k0 <= k < k1.
void scale_runs(const float* scales, i64 run, i64 k0, i64 k1, float* dst);

}  // namespace pare::cpu
