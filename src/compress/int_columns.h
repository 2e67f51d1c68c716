// A column rule that rounds to integers with a scale (and a zero point) per row and group of columns.
#pragma once
#include <functional>
#include <span>

#include "compress/column_groups.h"
#include "compress/column_sweep.h"
#include "compress/int_columns_cpu.h"
#include "weights/int_grid.h"

namespace pare {

/// The grid of a group of weights; importance: of each of them, H[k,k].
using FitGrid = std::function<IntGrid(std::span<const float> weights, std::span<const float> importance)>;

class IntColumns final : public ColumnRule {
 public:
  /// For N rows. importance (K) in the order of the sweep, alive as long as this. A grid is fitted when the
  /// sweep reaches its group, on weights that hold all corrections.
  IntColumns(i64 N, ColumnGroups groups, const Tensor& importance, FitGrid fit);
  /// Fits all grids now, on w (N, K) in the order of the sweep: for orders that tear groups apart.
  void fit_all(const Tensor& w);

  void decide(const ColumnTile& tile, i64 k, float* q) override;
  i64 reads_to(i64 k) const override { return fits_at(k) ? group_end(k) : k + 1; }
  i64 group_end(i64 k) const override { return groups_.end[static_cast<std::size_t>(k)]; }

  /// codes u8 (N, K) in the order of the sweep; scales f32 and zeros u8 (N, G) in that of the weight.
  Tensor codes() const;
  Tensor scales() const;
  Tensor zeros() const;
  /// Whether all scales keep their precision in f16.
  bool fit_f16() const;

 private:
  bool fits_at(i64 k) const { return !fitted_ && groups_.begins(k); }
  void fit_tile(const ColumnTile& tile, i64 k);
  void put(i64 n, i64 g, const IntGrid& grid);

  ColumnGroups groups_;
  Tensor importance_;
  FitGrid fit_;
  bool fitted_ = false;
  Tensor scale_, low_, high_;  // f32 (G, N): cpu::RowGrids of each group
  Tensor codes_;               // u8 (K, N)
  cpu::RoundToGrids round_ = cpu::round_to_grids_kernel();
};

}  // namespace pare
