// Softmax cross-entropy of each row against one target, and log-probabilities for scoring.
//
//   lse[n] = log Σ_v e^logits[n,v]      nll[n] = lse[n] − logits[n, target[n]]
#pragma once
#include "tensor/tensor.h"

namespace pare {

inline constexpr i32 kIgnoreTarget = -100;

/// logits (N,V) f32 · targets (N) i32, kIgnoreTarget = no loss in that row  →  nll (N) f32 (0 where ignored).
/// Sums in f32 by vector lanes in a fixed order, maximum subtracted. Same bits for any N and thread count.
/// Throws a bug for a target outside [0,V).
void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& nll);

/// Writes dlogits (N,V) = (softmax(logits) − onehot(target)) · scale, 0 in ignored rows. `dlogits` may be
/// `logits`.
void cross_entropy_backward(const Tensor& logits, const Tensor& targets, float scale, Tensor& dlogits);

/// logits (N,V) → logp (N,V) = logits − lse. `logp` may be `logits`.
void log_softmax(const Tensor& logits, Tensor& logp);

/// Index of the largest logit of each row, the lowest index on ties: ids (N) i32.
void argmax_rows(const Tensor& logits, Tensor& ids);

}  // namespace pare
