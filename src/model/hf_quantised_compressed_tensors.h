// Linears as compressed-tensors stores them.
// Source: compressed-tensors 0.19; the padded packing and the sparse formats of 0.11.
//
//   pack-quantized        weight_packed i32 (N, words), q + 2^(b−1) along k, lowest bits first · weight_scale
//   ·
//                         weight_zero_point i32 (words, G) along n alike · weight_g_idx i32 (K) ·
//                         weight_shape
//   int-quantized         weight i8 (N, K) · weight_scale · weight_zero_point i8
//   float-quantized       weight F8_E4M3 (N, K) · weight_scale
//   mxfp8-quantized       weight F8_E4M3 (N, K) · weight_scale u8 (N, K/32)
//   mxfp4-pack-quantized  weight_packed u8 (N, K/2) · weight_scale u8 (N, K/32)
//   nvfp4-pack-quantized  the same with weight_scale F8_E4M3 (N, K/16) and weight_global_scale f32 (1)
//   sparse-bitmask, sparse-24-bitmask   weight.compressed, .bitmask u8 (N, ⌈K/8⌉), .shape, .row_offsets
//
//   W = (q − zp) · scale, rounded to the dtype of the scale, or of the model where scales are bytes
#pragma once
#include "model/hf_quantised.h"

namespace pare {

/// How values of b bits share 32-bit words: one stream of bits, or ⌊32/b⌋ a word with the rest left empty, as
/// before 0.12 or so. The same for 1, 2, 4 and 8 bits.
enum class WordPacking { dense, padded };

/// Words of `count` values. REQUIRES: 1 <= bits <= 8.
i64 packed_words(i64 count, int bits, WordPacking packing);

/// The packing that gives this many words. Throws a user error starting with `where` when none or either
/// does.
WordPacking find_packing(const std::string& where, i64 words, i64 count, int bits);

/// Words i32 (R, words) ↔ rows u8 (R, ⌈count·bits/8⌉) of codes as weights/bits.h packs them, a view where the
/// bytes are the same.
Tensor rows_of_words(const Tensor& words, i64 count, int bits, WordPacking packing);
Tensor words_of_rows(const Tensor& rows, i64 count, int bits, WordPacking packing);

/// The sparse weight of the parts `.compressed`, `.bitmask` and so on of `x.weight`. `scales` (N) for i8 and
/// e4m3, else undefined.
Weight sparse_bitmask_weight(const StoredLinear& x, const Tensor& scales);

}  // namespace pare
