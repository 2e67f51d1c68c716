// Which weights to keep when the smallest are pruned: by magnitude, or by any score the caller gives.
//
// A mask is u8 of the shape of the scores: 1 = keep, 0 = prune. Counts are exact: round(sparsity · count)
// entries are pruned. Of equal scores the one with the lowest index is pruned first (tensors in the order
// given, row-major), so a mask never depends on threads. Scores must not be NaN (a bug); sparsity is in [0,
// 1].
#pragma once
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

/// |w| for w f32, bf16 or f16 of any shape, as f32.
Tensor magnitudes(const Tensor& w);

/// |w[n,k]| · √H[k,k] for w (N, K) f32 and diag H (K): the size of what a weight adds to the output, over all
/// tokens. Source: Sun et al. 2023, arXiv:2306.11695 (Wanda).
Tensor wanda_scores(const Tensor& w, const Tensor& gram_diagonal);

/// Prunes the lowest of all scores (N, K) f32 together.
Tensor lowest_mask(const Tensor& scores, double sparsity);
/// Prunes the lowest within each row: round(sparsity · K) of every row.
Tensor lowest_per_row_mask(const Tensor& scores, double sparsity);
/// Prunes the lowest of all scores of all tensors together; one mask each.
std::vector<Tensor> lowest_global_masks(std::span<const Tensor> scores, double sparsity);
/// Keeps the `keep` highest of every `of` consecutive columns (2:4: keep 2 of 4). A short group at the end of
/// a row keeps ⌈its length · keep / of⌉. Throws a user error unless 0 < keep ≤ of.
Tensor n_of_m_mask(const Tensor& scores, i64 keep, i64 of);

/// 1 where w (f32) is not zero.
Tensor nonzero_mask(const Tensor& w);
/// Zeros the weights of w (f32, bf16 or f16) whose mask is 0. Throws a bug when shapes differ.
void apply_mask(const Tensor& mask, Tensor& w);
/// Share of zeros in a mask.
double mask_sparsity(const Tensor& mask);

}  // namespace pare
