// The mean of f32 numbers in the order of PyTorch's CPU kernel (8 lanes, one thread): 4 × 8 running sums,
// folded upwards in up to four levels. Bit-exact files of other libraries depend on it.
#pragma once
#include <span>

namespace pare {

/// 0 for no values.
float cascade_mean(std::span<const float> values);

}  // namespace pare
