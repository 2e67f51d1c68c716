// A column rule that rounds to floats of 8 or 4 bits with a scale per row and block: FP8, MXFP8, MXFP4,
// NVFP4.
#pragma once
#include "compress/column_groups.h"
#include "compress/column_sweep.h"
#include "weights/float_group_encode.h"

namespace pare {

class FloatColumns final : public ColumnRule {
 public:
  /// For N rows. A block's scale is chosen when the sweep reaches it, on weights that hold all corrections.
  /// REQUIRES: blocks of one row; each group of `groups` is one run.
  FloatColumns(i64 N, i64 K, ColumnGroups groups, const FloatGroupOptions& format, float global);

  void decide(const ColumnTile& tile, i64 k, float* q) override;
  i64 reads_to(i64 k) const override { return groups_.begins(k) ? group_end(k) : k + 1; }
  i64 group_end(i64 k) const override { return groups_.end[static_cast<std::size_t>(k)]; }

  /// u8 (N, K) in the order of the sweep, one code a byte.
  Tensor codes() const;
  /// (N, G) in the order of the weight: f32 of real scales, else u8.
  Tensor scales() const;

 private:
  void choose_scales(const ColumnTile& tile, i64 k);

  ColumnGroups groups_;
  FloatGroupOptions format_;
  float global_;
  Tensor codes_, scales_, divisors_;  // u8 (K, N); f32 or u8 (G, N); f32 (G, N)
};

}  // namespace pare
