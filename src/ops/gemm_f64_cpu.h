// The inner kernel of ops/gemm_f64.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

struct GemmF64Kernel {
  /// Rows and columns of the register tile.
  i64 MR, NR;
  /// C (height ≤ MR, width ≤ NR) (+)= A·panel: A row m at a + m·a_stride, panel[k·NR + n], aligned.
  void (*tile)(i64 height,
               i64 width,
               i64 depth,
               const double* a,
               i64 a_stride,
               const double* panel,
               double* c,
               i64 ldc,
               bool add);
};

/// The kernel of the tier that Highway dispatches to now.
GemmF64Kernel gemm_f64_kernel();

}  // namespace pare::cpu
