// Dense weights as integers with a scale per group, as compressed-tensors 0.19 rounds them (llm-compressor
// without calibration). weights/int_group.h has our own rounding, whose grids are another.
//
//   symmetric    scale = V(max|w| / ((2^b − 1)/2))      code = round(V(w / scale)) + 2^(b−1)
//   asymmetric   scale = V(V(max − min) / (2^b − 1))     zero = round(V(−V(min / scale) − 2^(b−1))) + 2^(b−1)
//                code = round(V(V(w / scale) + zero − 2^(b−1))) + 2^(b−1)
//
// V rounds to the dtype of the weights, which is that of the scales; min ≤ 0 ≤ max; halves go to even, codes
// and zero points are clamped. A scale of 0 is replaced by the step of its dtype above 1.
#pragma once
#include "weights/int_group.h"

namespace pare {

/// w (N, K) f32, bf16 or f16. The `values` of the options are not looked at: decoded weights have the dtype
/// of w. Throws a user error on bad options, and on NaN or Inf, naming row and column.
Weight quantize_int_group_in_dtype(const Tensor& w, const IntGroupOptions& options);

}  // namespace pare
