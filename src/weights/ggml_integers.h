// The blocks of weights/ggml_block.h as the integers that they hold, for products that round activations too
// (ops/integer_gemm.h): codes of 32 values and a scale (and a minimum) for each group of them.
#pragma once
#include "ops/integer_gemm.h"
#include "weights/ggml_types.h"

namespace pare {

/// A block's layout, group, offset and levels: 4-bit codes without a fifth bit elsewhere stay nibbles.
IntegerForm ggml_integer_form(GgmlType type);

/// Inputs [k0,k1) of one row of blocks, whole groups of 32  →  codes in the form's layout.
void ggml_integer_codes(GgmlType type, const u8* row, i64 k0, i64 k1, u8* codes);
/// Scales and minima (where the form has them) of all groups of a row of K values.
void ggml_integer_scales(GgmlType type, const u8* row, i64 K, float* scales, float* mins);

}  // namespace pare
