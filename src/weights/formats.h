// The packed formats of this folder, one line each; only weight.cpp includes it.
//
// pare_weights is a static library, from which a linker drops an object that nothing refers to: so a format
// is referred to here instead of registering itself. Folders above add theirs with add_weight_format().
#pragma once
#include "weights/weight.h"

namespace pare {

WeightFormatInfo codebook4_weight_format();
WeightFormatInfo dense_weight_format();
WeightFormatInfo float_group_weight_format();
WeightFormatInfo ggml_block_weight_format();
WeightFormatInfo int_group_weight_format();
WeightFormatInfo int8_row_weight_format();
WeightFormatInfo low_rank_weight_format();
WeightFormatInfo sparse_int_weight_format();
WeightFormatInfo sparse_mask_weight_format();

inline constexpr WeightFormatInfo (*kWeightFormats[])() = {
    codebook4_weight_format,
    dense_weight_format,
    float_group_weight_format,
    ggml_block_weight_format,
    int_group_weight_format,
    int8_row_weight_format,
    low_rank_weight_format,
    sparse_int_weight_format,
    sparse_mask_weight_format,
};

}  // namespace pare
