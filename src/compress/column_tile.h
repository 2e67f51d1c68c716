// Some rows of a weight matrix while a block of its columns is decided: the rows of a column side by side, so
// that vectors run over rows.
#pragma once
#include "base/types.h"

namespace pare {

/// Rows of a tile: whole vectors on every tier, and register tiles of 3 vectors (column_sweep_cpu.cpp).
inline constexpr i64 kTileRows = 48;

/// Weight (n0 + r, k) is column(k)[r], aligned to 64 bytes; what lies behind `rows` is no weight.
struct ColumnTile {
  i64 n0, rows;  // rows ≤ kTileRows
  i64 first;     // column
  const float* data;

  const float* column(i64 k) const { return data + (k - first) * kTileRows; }
};

}  // namespace pare
