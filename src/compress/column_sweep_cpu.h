// The inner loop of column_sweep.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

/// y[i] −= a · x[i] for n floats, as one fused multiply-add each.
using SubtractScaled = void (*)(float a, const float* x, float* y, i64 n);
SubtractScaled subtract_scaled_kernel();

}  // namespace pare::cpu
