// The inner loop of int_columns.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

/// Grids of consecutive rows: ŵ = scale · s for whole s, low = −zero ≤ s ≤ high = top − zero.
struct RowGrids {
  const float *scale, *low, *high;
};

/// q[r] = the value nearest to w[r] on grid r, codes[r] its code: bit for bit those of IntGrid::code() and
/// value() (weights/int_grid.h).
using RoundToGrids = void (*)(i64 rows, const float* w, const RowGrids& grids, float* q, u8* codes);
RoundToGrids round_to_grids_kernel();

}  // namespace pare::cpu
