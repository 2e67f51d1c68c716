// The inner kernels of ops/gemm.h with inputs rounded to bf16, for the running vector tier.
//
// A pair is two bf16 neighbours along k in 32 bits, the even k in the low half; an odd depth ends in a zero.
#pragma once
#include "base/types.h"

namespace pare::cpu {

/// Register tile and `transpose` are those of GemmKernels.
struct GemmBf16Kernels {
  /// Rounds `rows` rows of `depth` floats (nearest even, NaN stays NaN) to pairs at out[r·out_stride + p].
  void (*round_rows)(const float* src, i64 stride, i64 rows, i64 depth, u32* out, i64 out_stride);
  /// As GemmKernels::pack_columns and pack_rows, to pairs at out[p·NR + n].
  void (*pack_columns)(const float* src, i64 stride, i64 width, i64 depth, u32* out);
  void (*pack_rows)(const float* src, i64 stride, i64 width, i64 depth, u32* out);
  /// C (height ≤ MR, width ≤ NR) (+)= A·panel (+ bias): one chain over the pairs from zero for each output,
  /// in f32; within a pair the odd k comes first, as in AVX512-BF16's dot product (which flushes denormals).
  void (*tile)(i64 height,
               i64 width,
               i64 pairs,
               const u32* a,
               i64 a_stride,
               const u32* panel,
               float* c,
               i64 ldc,
               bool add,
               const float* bias);
  bool native;  // the CPU has instructions for it; else it is slower than f32
};

GemmBf16Kernels gemm_bf16_kernels();

}  // namespace pare::cpu
