// The decoding kernels of weights/ggml_block.h for the running vector tier.
#pragma once
#include "weights/ggml_types.h"

namespace pare::cpu {

struct GgmlBlockView {
  GgmlType type;
  const u8* blocks;
  i64 row_bytes;
};

/// As WeightFormat::decode(). Reads only bytes of the blocks it needs.
void decode_ggml_block(const GgmlBlockView& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride);

}  // namespace pare::cpu
