// One sweep over the columns of a weight matrix: each is decided (rounded, zeroed or kept), and its error is
// made good in the columns not yet decided. GPTQ, SparseGPT and both at once are this sweep.
//
//   min over Q of tr((W−Q) H (W−Q)ᵀ)        (H + λI)⁻¹ = UᵀU, U upper triangular (inverse_factor.h)
//   for each column j:  q_j = decide(w_j),  e_j = (w_j − q_j) / U[j,j],  W[:, j+1…] −= e_j · U[j, j+1…]
//
// Inside a block of columns tiles of rows are done one by one; between blocks errors are made good by matrix
// products. With the damped H: E·U = W − Q and Σ E² = tr((W−Q)(H+λI)(W−Q)ᵀ), whatever decide() does.
// Source: Frantar et al. 2022, arXiv:2210.17323; Frantar & Alistarh 2023, arXiv:2301.00774.
#pragma once
#include "compress/column_tile.h"
#include "tensor/tensor.h"

namespace pare {

/// Decides weights. Tiles are asked from several threads, each row by one; columns in increasing order.
class ColumnRule {
 public:
  virtual ~ColumnRule() = default;
  /// Columns [k0, k1) of W (N, K) are about to be decided and hold all corrections of earlier ones. Called
  /// once per block, from one thread. `u`: see above.
  virtual void begin_block(const Tensor& /*w*/, i64 /*k0*/, i64 /*k1*/, const Tensor& /*u*/) {}
  /// Writes what column k of the tile becomes to q[0 … tile.rows), which is aligned. Columns [k, reads_to(k))
  /// of the tile hold all corrections of those before k; no others may be read.
  virtual void decide(const ColumnTile& tile, i64 k, float* q) = 0;
  /// How far decide() looks at column k: k + 1 … K.
  virtual i64 reads_to(i64 k) const = 0;
  /// The last column that may follow column k in a block is one before it: groups that share a scale must not
  /// be cut unless they begin with a block. K or more: anywhere.
  virtual i64 group_end(i64 k) const = 0;
};

struct SweepResult {
  double loss = 0;  // Σ E²: tr((W−Q)(H+λI)(W−Q)ᵀ)
};

/// W (N, K) f32 becomes Q. u (K, K) f32, block ≥ 1 columns at a time. Same bits for any thread count.
SweepResult column_sweep(Tensor& w, const Tensor& u, ColumnRule& rule, i64 block = 128);

}  // namespace pare
