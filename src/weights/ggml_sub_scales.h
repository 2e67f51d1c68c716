// Where the scales of weights/ggml_block.h's blocks lie: f16 ones of a block, and the integers of the
// sub-blocks of the K formats.
#pragma once
#include "base/types.h"
#include "weights/ggml_types.h"

namespace pare {

/// Bytes from the beginning of a block to its f16 scale and to the second one (a minimum); −1 = none.
struct GgmlScalesAt {
  int first, second;
};

inline GgmlScalesAt ggml_scales_at(GgmlType type) {
  switch (type) {
    case GgmlType::q4_1:
    case GgmlType::q5_1:
    case GgmlType::q4_k:
    case GgmlType::q5_k:
      return {0, 2};
    case GgmlType::q2_k:
      return {80, 82};
    case GgmlType::q3_k:
      return {108, -1};
    case GgmlType::q6_k:
      return {208, -1};
    default:
      return {0, -1};
  }
}

struct GgmlSubScale {
  int scale, min;
};

/// Sub-block s of a block of Q4_K or Q5_K, 32 values: 6 bits each, packed into 12 bytes.
inline GgmlSubScale ggml_six_bit_scale(const u8* block, i64 s) {
  const u8* p = block + 4;
  if (s < 4) return {p[s] & 63, p[s + 4] & 63};
  return {(p[s + 4] & 15) | (p[s - 4] >> 6) << 4, (p[s + 4] >> 4) | (p[s] >> 6) << 4};
}

/// Sub-block s of a block of Q3_K, 16 values.
inline int ggml_q3_k_scale(const u8* block, i64 s) {
  const u8* p = block + 96;
  const int low = (p[s % 8] >> (4 * (s / 8))) & 15, high = (p[8 + s % 4] >> (2 * (s / 4))) & 3;
  return (low | high << 4) - 32;
}

/// Sub-block s of a K format: 16 values (Q2_K, Q3_K, Q6_K) or 32.
inline GgmlSubScale ggml_sub_scale(GgmlType type, const u8* block, i64 s) {
  switch (type) {
    case GgmlType::q2_k:
      return {block[s] & 15, block[s] >> 4};
    case GgmlType::q3_k:
      return {ggml_q3_k_scale(block, s), 0};
    case GgmlType::q6_k:
      return {reinterpret_cast<const i8*>(block + 192)[s], 0};
    default:
      return ggml_six_bit_scale(block, s);
  }
}

}  // namespace pare
