// Rows of 16-bit floats to f32, exact, on the widest vectors of the CPU.
#pragma once
#include "base/types.h"

namespace pare {

/// dst[i] = src[i] for i < n. They must not overlap.
void bf16_to_f32(const u16* src, i64 n, float* dst);
void f16_to_f32(const u16* src, i64 n, float* dst);

}  // namespace pare
