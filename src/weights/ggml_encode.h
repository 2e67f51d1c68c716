// Rounding rows of f32 to the blocks of GGUF files, by the rules of ggml's quantiser: the same bytes where no
// compiler reorders its sums.
// Source: ggml (ggml-quants.c, quantize_row_*_ref and, with an importance, quantize_row_*_impl); the K
// formats minimise a weighted squared error by trying a few steps around max/levels and solving least squares
// for each.
//
//   without importance   a weight per value that the format's rule makes of x alone
//   with importance      w[k] = importance[k] · √(σ² + x[k]²)
//     Q4_0 Q4_1 Q5_0 Q5_1    σ² = mean of x² over the row
//     Q2_K                   σ² = mean of x² over the block
//     Q3_K Q4_K Q5_K IQ4_NL  σ² = twice that
//     Q6_K                   w[k] = importance[k]
//
// Q8_0 and dense types have no choice that an importance could change.
#pragma once
#include "weights/ggml_types.h"
#include "weights/weight.h"

namespace pare {

/// x: `count` finite values, a multiple of the block  →  writes count/values blocks. f32, f16 and bf16 are
/// stored as they are or rounded to nearest even. REQUIRES: the type is packed or dense.
void encode_ggml(GgmlType type, const float* x, i64 count, u8* blocks);

/// As above for one row, with the importance of its columns (`count` values ≥ 0 as scaled_importance() gives
/// them; null: none). A block whose columns have no importance is rounded as without; see
/// weights/ggml_scale_search.h for what else deviates from the reference where importances are 0.
void encode_ggml(GgmlType type, const float* x, i64 count, const float* importance, u8* blocks);

/// What errors in each input column count, as encode_ggml() takes it: `importance` (K) f32, the mean of x²
/// for instance (llama.cpp's imatrix), times the power of two that puts the largest into [½, 1), so that no
/// sum overflows; the bytes of blocks do not depend on it. Undefined when all are 0. Throws a user error
/// naming `what` on another length, NaN, Inf, and values below 0.
Tensor scaled_importance(const std::string& what, const Tensor& importance, i64 K);

/// w (N, K) f32 as blocks, rows in parallel; importance (K) f32 for all rows, or undefined. Throws a user
/// error on NaN or Inf, naming row and column, on K that is no multiple of the block, on weights so large
/// that a scale does not fit f16, and as scaled_importance().
Weight quantize_ggml_block(const Tensor& w, GgmlType type, const Tensor& importance = {});

/// One block of 256 values of a K format: weights/ggml_encode_k.cpp. `importance` may be null.
void encode_ggml_k_block(GgmlType type, const float* x, const float* importance, u8* block);

}  // namespace pare
