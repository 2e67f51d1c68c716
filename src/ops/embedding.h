// Gradient of a table look-up (the look-up itself decodes rows of a Weight, see weights/embedding.h).
#pragma once
#include "tensor/tensor.h"

namespace pare {

/// ids (N) i32 · dy (N,D) f32: dtable[ids[n]] += dy[n] for n in increasing order, whatever the thread count.
/// dtable (V,D) f32. Throws a bug for an id outside [0,V).
void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable);

}  // namespace pare
