// A linear layer's weights on integer grids, or pruned, or both, by one column sweep over its Gram matrix.
// Source: Frantar et al. 2022, arXiv:2210.17323; Frantar & Alistarh 2023, arXiv:2301.00774.
#pragma once
#include <optional>

#include "compress/column_order.h"
#include "compress/int_fit.h"
#include "compress/pruned_columns.h"
#include "weights/codebook4.h"
#include "weights/float_group_encode.h"
#include "weights/int_group.h"

namespace pare {

struct SweepOptions {
  double damping = 0.01;
  i64 block = 128;
  ColumnOrder order = ColumnOrder::natural;
};

struct IntSweepOptions : SweepOptions {
  IntGroupOptions format;
  double least_range = 1;  // IntFitOptions::least
  i64 refinements = 0;     // passes of refine_integers.h after the sweep
};

struct Swept {
  Weight weight;
  double loss = 0;     // tr((W−Q)(H+λI)(W−Q)ᵀ)
  double damping = 0;  // that served, see inverse_factor.h
};

/// W (N, K) f32 dense, H (K, K) f32 → integers of the format. With `pruning`, part of them are the code of 0.
/// Weights of dead inputs become 0. Throws a user error on bad options, NaN or Inf in W, H that cannot be
/// factored, and on a pattern N:M or a sparsity with an order other than natural.
Swept sweep_to_integers(const Tensor& w,
                        const Tensor& h,
                        const IntSweepOptions& options,
                        const std::optional<Pruning>& pruning = {});

/// W (N, K) f32 dense, H (K, K) f32 → NF4 or FP4 codes without double quantisation. Order: natural or
/// grouped. Throws a user error when K is no whole number of blocks: blocks would go on in the next row.
Swept sweep_to_table(const Tensor& w, const Tensor& h, Code4 code, i64 block, const SweepOptions& options);

/// W (N, K) f32 dense, H (K, K) f32 → floats of 8 or 4 bits: fp8_row, mxfp8, mxfp4, nvfp4; `global` of nvfp4
/// as quantize_float_group() takes it, `values`: what decoded weights are rounded to. Order: natural or
/// grouped. Throws a user error when K does not fit the scheme.
Swept sweep_to_floats(const Tensor& w,
                      const Tensor& h,
                      FloatScheme scheme,
                      float global,
                      DType values,
                      const SweepOptions& options);

/// W (N, K) f32 dense, H (K, K) f32 → dense f32 with zeros. Order: natural.
Swept sweep_to_sparse(const Tensor& w, const Tensor& h, const Pruning& pruning, const SweepOptions& options);

/// W (N, K) f32 dense on a mask u8 (N, K): masked_least_squares.h with the damped H, from the masked W or
/// from `start` (dense f32, zero where the mask is).
Tensor repair_on_mask(const Tensor& w,
                      const Tensor& mask,
                      const Tensor& h,
                      double damping,
                      i64 iterations,
                      const Tensor& start = {});

/// tr((W−Q) H (W−Q)ᵀ), the loss that all of this is about; Q (N, K) f32.
double gram_loss(const Tensor& w, const Tensor& q, const Tensor& h);

}  // namespace pare
