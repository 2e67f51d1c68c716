// The decoding kernel of weights/int_group.h for the running vector tier.
#pragma once
#include "tensor/tensor.h"

namespace pare::cpu {

struct IntGroupView {
  const u8* codes;
  i64 row_bytes;
  i64 codes_bytes;  // of all rows: nothing behind them is read
  const void* scales;
  DType scale_dtype;
  const u8* zeros;  // null when symmetric
  i64 zeros_row_bytes;
  i64 group, groups;
  int bits;
};

/// As WeightFormat::decode().
void decode_int_group(const IntGroupView& w, i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride);
/// The same with the group of each input: index (K), values below `groups`. Writes `table` (2·groups).
void decode_int_group_indexed(const IntGroupView& view,
                              const i32* index,
                              float* table,
                              i64 n0,
                              i64 n1,
                              i64 k0,
                              i64 k1,
                              float* dst,
                              i64 stride);

/// out[k − k0] = code k of `row` minus `base`, as bytes. Nothing from `end` on is read.
void unpack_bytes(const u8* row, const u8* end, i64 k0, i64 k1, int bits, int base, u8* out);

}  // namespace pare::cpu
