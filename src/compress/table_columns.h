// A column rule that rounds to a table of 16 values times the largest magnitude of a block: NF4 and FP4.
#pragma once
#include "compress/column_groups.h"
#include "compress/column_sweep.h"
#include "weights/codebook4.h"

namespace pare {

class TableColumns final : public ColumnRule {
 public:
  /// For N rows. A block's magnitude is taken when the sweep reaches it, on weights that hold all
  /// corrections. REQUIRES: each group of `groups` is one run.
  TableColumns(i64 N, i64 K, ColumnGroups groups, Code4 code);

  void decide(const ColumnTile& tile, i64 k, float* q) override;
  i64 reads_to(i64 k) const override { return groups_.begins(k) ? group_end(k) : k + 1; }
  i64 group_end(i64 k) const override { return groups_.end[static_cast<std::size_t>(k)]; }

  /// codes u8 (N, K) in the order of the sweep; absmax f32 (N, G) in that of the weight.
  Tensor codes() const;
  Tensor absmax() const;

 private:
  ColumnGroups groups_;
  std::array<float, 16> table_;
  std::vector<std::pair<float, u8>> sorted_;  // values and their codes, each value once
  std::vector<float> middles_;                // between neighbours of sorted_
  Tensor codes_, absmax_;                     // u8 (K, N) and f32 (G, N)
};

}  // namespace pare
