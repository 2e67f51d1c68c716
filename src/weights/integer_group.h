// How a weight's scales fit the groups of integer products (ops/integer_gemm.h).
#pragma once
#include "base/types.h"

namespace pare {

/// Inputs that integer products take together, where every `block` inputs of a row of K share a scale: the
/// block, or the largest part of it up to 128. A multiple of `step` (16 or 32); 0 where there is none.
inline i64 integer_group(i64 block, i64 K, i64 step) {
  if (block <= 0 || K % block) return 0;
  for (i64 group = block <= 128 ? block : 128; group >= step; --group)
    if (group % step == 0 && block % group == 0) return group;
  return 0;
}

/// scales[g] of `count` groups that lie `parts` to a block: each block's scale so many times, in place: the
/// blocks' scales are the first count / parts.
inline void repeat_scales(i64 count, i64 parts, float* scales) {
  if (parts == 1) return;
  for (i64 g = count - 1; g >= 0; --g) scales[g] = scales[g / parts];
}

}  // namespace pare
