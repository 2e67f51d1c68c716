// Tiles of ops/attention.h for the running tier. One call handles one key/value head on one thread.
#pragma once
#include "ops/attention.h"

namespace pare::cpu {

/// Rows of queries that share one pass over the keys.
inline constexpr i64 kQueryTile = 64;

/// Floats of scratch that either pass needs for heads of width E. The scratch must be 64-byte aligned.
i64 attention_scratch(i64 E);

/// Query rows [begin, end) of the sequence (end − begin ≤ kQueryTile), all query heads of kv head `kv`.
void attention_tile(const float* q, const AttentionSeq& seq, const AttentionShape& shape, i64 kv, i64 begin, i64 end,
                    float* o, float* lse, float* scratch);

struct AttentionGradients {
  const float *dout, *q, *k, *v, *o, *lse;
  float *dq, *dk, *dv;
};
/// The whole backward pass of one sequence and kv head.
void attention_backward_head(const AttentionGradients& g, const AttentionSeq& seq, const AttentionShape& shape, i64 kv,
                             float* scratch);

}  // namespace pare::cpu
