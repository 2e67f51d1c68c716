// The inner kernels of ops/integer_gemm.h for the running vector tier.
#pragma once
#include "base/types.h"

namespace pare::cpu {

enum class CodeKind { nibbles, levels, bytes };

/// Rows of A times one panel of NR rows of B, over some groups.
///
/// A panel is a list of 32-bit words of the NR rows: word w of row n at panel[w·NR + n]. Of bytes, it has the
/// levels of 4 inputs; of nibbles, in words 4j … 4j + 3, the low ones are the first 16 of the 32 values of a
/// as they lie, the high ones the others.
struct IntegerTile {
  CodeKind kind;
  const i8* levels;  // 16, of kind levels
  i32 offset;
  bool low_first;  // else the high nibbles are the first 16
  i64 rows;        // ≤ MR
  i64 groups, group;
  const i8* a;  // row m at a + m·a_stride
  i64 a_stride;
  const float* a_scales;  // row m, group g at [m·a_groups + g]
  const i32* a_sums;
  i64 a_groups;
  const u32* panel;
  const float *scales, *mins;  // group g, row n at [g·NR + n]; mins or null
  float* sums;                 // [m·NR + n], added to
};

/// One row of A times NR rows of B as they lie, over some groups.
struct IntegerRow {
  CodeKind kind;
  const i8* levels;
  i32 offset;
  bool low_first;
  i64 groups, group;
  const i8* a;
  const float* a_scales;
  const i32* a_sums;
  const u8* rows;  // row n of B at rows + n·stride
  i64 stride;
  const float *scales, *mins;  // as in a tile
  float* sums;                 // [n], added to
};

struct IntegerKernels {
  i64 MR, NR;
  /// x of `groups` groups  →  codes, scales and sums of the codes. Where `even_odd`, of each 32 values those
  /// of even k come first. Reads nothing behind x.
  void (*round_row)(
      const float* x, i64 groups, i64 group, bool even_odd, i8* codes, float* scales, i32* sums);
  void (*tile)(const IntegerTile& t);
  /// The same sums as tile() for one row of A; null where tile() is as fast.
  void (*row)(const IntegerRow& t);
};

/// The kernels of the tier that Highway dispatches to now.
IntegerKernels integer_kernels();

}  // namespace pare::cpu
