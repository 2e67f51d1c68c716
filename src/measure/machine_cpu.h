// Kernels that do nothing but reach a limit of the running tier. Each runs on the calling thread.
#pragma once
#include "base/types.h"

namespace pare::cpu {

/// The ways to walk a buffer that read_words() knows: one stream; one stream with prefetches ahead; four
/// streams at once.
constexpr int kReadPatterns = 3;

/// Reads `words` 32-bit words once and returns their XOR, so that no read can be left out.
/// REQUIRES: words is a multiple of 4096, from is aligned to 64 bytes, pattern < kReadPatterns.
u32 read_words(const u32* from, i64 words, int pattern);

/// Each runs `steps` rounds of independent register operations and returns how many operations that was (a
/// multiply-add counts as two). 0: this tier or CPU has no such instruction. `sink` keeps the work alive.
double f32_work(i64 steps, float* sink);
double bf16_work(i64 steps, float* sink);
double int8_work(i64 steps, float* sink);

}  // namespace pare::cpu
