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
  float decide(i64 n, i64 k, const float* row) override;
  i64 group_end(i64 k) const override;

  /// u8 (N, K), 1 = kept, after the sweep.
  const Tensor& mask() const { return pruning_.mask; }

 private:
  void choose_pattern(i64 k, const float* row, u8* keep) const;
  float kept_value(i64 n, i64 k, const float* row);

  Pruning pruning_;
  bool fixed_;
  ColumnRule* inner_;
  std::vector<float> inverse_u2_;  // 1/U[k,k]²
  Tensor masked_;                  // (N, K): rows as the inner rule sees them
};

}  // namespace pare
