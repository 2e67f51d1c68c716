// The inner kernels of ops/gemm.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

struct GemmKernels {
  /// Rows and columns of the register tile.
  i64 MR, NR;
  /// Packs `width` ≤ NR columns, column n at src + n·stride contiguous in k, to out[k·NR + n]; the rest is
  /// zero.
  void (*pack_columns)(const float* src, i64 stride, i64 width, i64 depth, float* out);
  /// Packs `depth` rows, row k at src + k·stride contiguous in n, to out[k·NR + n]; the rest is zero.
  void (*pack_rows)(const float* src, i64 stride, i64 width, i64 depth, float* out);
  /// src (rows, cols) at src[r·stride + c]  →  out[c·out_stride + r].
  void (*transpose)(const float* src, i64 stride, i64 rows, i64 cols, float* out, i64 out_stride);
  /// C (height ≤ MR, width ≤ NR) (+)= A·panel (+ bias): A row m at a + m·a_stride, panel[k·NR + n].
  void (*tile)(i64 height,
               i64 width,
               i64 depth,
               const float* a,
               i64 a_stride,
               const float* panel,
               float* c,
               i64 ldc,
               bool add,
               const float* bias);
};

/// The kernels of the tier that Highway dispatches to now.
GemmKernels gemm_kernels();

}  // namespace pare::cpu
