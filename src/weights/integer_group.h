// How a weight's scales fit the groups of integer products (ops/integer_gemm.h).
#pragma once
#include "base/types.h"

namespace pare {

/// Inputs that integer products take together, where every `block` inputs of a row of K share a scale (the
/// last ones may be fewer): the largest part of a block, up to 128, that a row is a multiple of. A multiple
/// of `step` (16 or 32); 0 where there is none.
inline i64 integer_group(i64 block, i64 K, i64 step) {
  for (i64 group = block < 128 ? block : 128; group >= step; --group)
    if (group % step == 0 && block % group == 0 && K % group == 0) return group;
  return 0;
}

/// Rows of `blocks` scales each  →  rows of `groups`, `parts` of which lie in a block, in place.
inline void repeat_scales(i64 rows, i64 blocks, i64 groups, i64 parts, float* scales) {
  if (parts == 1) return;
  for (i64 n = rows - 1; n >= 0; --n)
    for (i64 g = groups - 1; g >= 0; --g) scales[n * groups + g] = scales[n * blocks + g / parts];
}

}  // namespace pare
