// Row kernels of ops/rmsnorm.h for the running tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

void rmsnorm_rows(const float* x, const float* w, float eps, i64 begin, i64 end, i64 D, float* y, float* r);
/// Writes dx of rows [begin,end) and adds their share to dw (D).
void rmsnorm_backward_rows(const float* dy,
                           const float* x,
                           const float* w,
                           const float* r,
                           i64 begin,
                           i64 end,
                           i64 D,
                           float* dx,
                           float* dw);

}  // namespace pare::cpu
