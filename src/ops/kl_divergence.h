// How far predictions lie from wanted ones, and the gradient: what a compressed model is fitted to its
// original by.
//
//   kl[n] = Σ_v p(v) · (log p(v) − log q(v))      p = softmax(wanted[n]), q = softmax(logits[n])
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// wanted, logits (N,V) f32  →  kl (N) f64. Sums in f64 over f32 exponentials. Same bits for any N and
/// threads.
void kl_divergence(const Tensor& wanted, const Tensor& logits, Tensor& kl);

/// Writes dlogits (N,V) = (softmax(logits) − softmax(wanted)) · scale. `dlogits` may be `logits`.
void kl_divergence_backward(const Tensor& wanted, const Tensor& logits, float scale, Tensor& dlogits);

}  // namespace pare
