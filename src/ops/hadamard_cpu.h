// Row kernels of ops/hadamard.h for the running tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

struct HadamardPlan {
  i64 n, factor, power;         // n is a multiple of factor·power
  const float* dense;           // (factor, factor) of ±1, row by row; not read when factor is 1
  const float *before, *after;  // signs (n) of the inputs, of the outputs; null: all 1
};

/// Rows [begin, end). scratch: factor·power elements when factor > 1. y may be x.
void hadamard_rows(const HadamardPlan& plan, const float* x, i64 begin, i64 end, float* scratch, float* y);
void hadamard_rows(const HadamardPlan& plan, const double* x, i64 begin, i64 end, double* scratch, double* y);

}  // namespace pare::cpu
