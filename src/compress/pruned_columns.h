// A column rule that sets weights to zero, and gives what it keeps to another rule: SparseGPT, and pruning
// and quantising in one sweep. Source: Frantar & Alistarh 2023, arXiv:2301.00774.
//
// Saliency of a weight: w² / U[k,k]², the loss of pruning it now with everything behind it made good.
#pragma once
#include <optional>

#include "compress/column_sweep.h"

namespace pare {

struct Pruning {
  double sparsity = 0.5;  // share of each block's weights, all rows together; unless the next two are set
  i64 keep = 0, of = 0;   // N:M: the `keep` most salient of every `of` consecutive columns stay
  Tensor mask;            // u8 (N, K), 1 = keep: decided beforehand, in the order of the sweep
};

class PrunedColumns final : public ColumnRule {
 public:
  /// inner: decides what is kept, null keeps it as it is; it must outlive this. It fits its scales on kept
  /// weights alone. Throws a user error on a sparsity or a pattern that makes no sense.
  PrunedColumns(i64 N, i64 K, Pruning pruning, ColumnRule* inner);

  void begin_block(const Tensor& w, i64 k0, i64 k1, const Tensor& u) override;
  void decide(const ColumnTile& tile, i64 k, float* q) override;
  i64 reads_to(i64 k) const override;
  i64 group_end(i64 k) const override;

  /// u8 (N, K), 1 = kept, after the sweep.
  Tensor mask() const;

 private:
  bool has_patterns() const { return !mask_is_given_ && pruning_.of != 0; }
  void choose_pattern(const ColumnTile& tile, i64 k);
  void decide_kept(const ColumnTile& tile, i64 k, float* q);
  u8* keep(const ColumnTile& tile, i64 k) { return keep_.data<u8>() + k * N_ + tile.n0; }

  i64 N_, K_;
  Pruning pruning_;
  bool mask_is_given_;
  Tensor keep_;  // u8 (K, N)
  ColumnRule* inner_;
  std::vector<float> inverse_u2_;  // 1/U[k,k]²
};

}  // namespace pare
