// The decoding kernel of weights/sparse_int.h for the running vector tier.
#pragma once
#include "tensor/tensor.h"

namespace pare::cpu {

/// Bytes behind a run's packed codes that must be readable.
inline constexpr i64 kSparseIntReadAhead = 32;

/// Columns of a row, at most kKeptRun.
struct SparseIntRun {
  const u8* mask;  // the columns are its bits [from, to)
  i64 from, to;
  const u8* packed;  // of the run's codes the first is number `skip` < 8 there, the last `skip + count − 1`
  i64 skip, count;
  int bits;
  i64 group, group_left;  // columns of a group; those of the first one in the run
  const void* scales;     // of the row; `first_group` is the run's first one
  DType scale_dtype;
  const u8* zeros;  // packed, of the row; null when all are 2^(bits−1)
  i64 first_group;
};

/// Writes to − from values.
void decode_sparse_int(const SparseIntRun& run, float* dst);

}  // namespace pare::cpu
