// The inner loops of column_sweep.h for the running vector tier.
#pragma once
#include "compress/column_tile.h"

namespace pare::cpu {

/// y[i] −= a · x[i] for n floats, as one fused multiply-add each.
using SubtractScaled = void (*)(float a, const float* x, float* y, i64 n);
SubtractScaled subtract_scaled_kernel();

/// Columns of a strip: those that a decided column corrects at once.
inline constexpr i64 kStrip = 16;

/// On columns of kTileRows floats that follow each other, aligned. All sums are chains of fused multiply-adds
/// in the order of the errors.
struct TileKernels {
  /// Column w becomes q: e = (w − q) / u[0], error = −e, loss[r] += e² of each row; then `behind` columns
  /// that follow w: w[j] −= u[j] · e, j = 1 … behind.
  void (*decided)(const float* q, const float* u, i64 behind, float* w, float* error, double* loss);
  /// Columns j < columns ≤ kStrip: w[j] += Σ_k u[k·kStrip + j] · errors[k], k < depth.
  void (*correct)(const float* errors, const float* u, i64 depth, i64 columns, float* w);
};
TileKernels tile_kernels();

}  // namespace pare::cpu
