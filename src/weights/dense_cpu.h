// The kernel of weights/dense.h for one row of activations, for the running vector tier.
#pragma once
#include "tensor/tensor.h"

namespace pare::cpu {

/// y[n − n0] (+)= Σ_k x[k] · W[n,k] for rows [n0,n1) of W (N, K) f32, bf16 or f16, in the order of sums of
/// weights/linear.h. False, and nothing done, where the tier has no such kernel.
bool dense_row(const Tensor& w, const float* x, i64 n0, i64 n1, float* y, bool add);

}  // namespace pare::cpu
