// Blocks of numbers as 8-bit codes of the signed dynamic map, each block scaled by its largest magnitude.
// Source: Dettmers et al. 2022, arXiv:2110.02861; the rounding is that of bitsandbytes 0.50 on CPU.
//
//   x̂[i] = map[code[i]] · absmax[i / block]
//
// The map is dense near zero: 7 decades of 2^i values each, both signs, with 0 (code 127) and 1 (code 255).
#pragma once
#include <array>

#include "base/types.h"

namespace pare {

/// The 256 values, ascending.
const std::array<float, 256>& dynamic_map8();

/// x (n) finite  →  codes (n), absmax (⌈n/block⌉). A value is first rounded to a grid of 65536 points in [−1,
/// 1], then to the code nearest to that point: within ±1.6·10⁻⁵ of zero all values take code 131 as the grid
/// has no zero, and a block of zeros takes code 0 with absmax 0.
void quantize_blockwise8(const float* x, i64 n, i64 block, u8* codes, float* absmax);
/// The inverse: writes x (n).
void dequantize_blockwise8(const u8* codes, const float* absmax, i64 n, i64 block, float* x);

}  // namespace pare
