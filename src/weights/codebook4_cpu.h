// The decoding kernel of weights/codebook4.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

struct Codebook4View {
  const u8* codes;
  i64 codes_bytes;
  const float* table;   // 16
  const float* absmax;  // or null, and then:
  const u8* absmax_codes;
  const float* map;  // 256
  const float* nested_absmax;
  float nested_offset;
  i64 cols, block;
};

/// As WeightFormat::decode().
void decode_codebook4(const Codebook4View& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride);

}  // namespace pare::cpu
