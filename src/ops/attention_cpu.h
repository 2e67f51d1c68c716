// Tiles of ops/attention.h for the running tier. One call handles one key/value head on one thread.
#pragma once
#include "ops/attention.h"

namespace pare::cpu {

/// Columns of the forward pass: a query row and one of its heads each, this many share one pass over the
/// keys.
inline constexpr i64 kQueryColumns = 64;

/// Query rows of one forward task, for `group` query heads to each key head.
inline i64 query_rows(i64 group) { return group >= kQueryColumns ? 1 : kQueryColumns / group; }

/// Floats of 64-byte aligned scratch that a call needs.
i64 attention_scratch(i64 E, i64 group);
i64 attention_backward_scratch(i64 E, i64 rows);

/// Query rows [begin, end) of the sequence, end − begin ≤ query_rows(group), all query heads of kv head `kv`.
/// `lse` may be null.
void attention_tile(const float* q,
                    const AttentionSeq& seq,
                    const AttentionShape& shape,
                    i64 kv,
                    i64 begin,
                    i64 end,
                    float* o,
                    float* lse,
                    float* scratch);

struct AttentionGradients {
  const float *dout, *q, *k, *v, *o, *lse;
  float *dq, *dk, *dv;
};
/// The whole backward pass of one sequence and kv head.
void attention_backward_head(const AttentionGradients& g,
                             const AttentionSeq& seq,
                             const AttentionShape& shape,
                             i64 kv,
                             float* scratch);

}  // namespace pare::cpu
