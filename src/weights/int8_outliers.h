// The product of LLM.int8(): 8-bit activations times 8-bit weights, but for the columns of outliers.
// Source: Dettmers et al. 2022, arXiv:2208.07339; bits of bitsandbytes 0.50.
//
//   outlier columns: any |x[m,k]| ≥ threshold in the batch
//
//   sca[m] = max_k |x[m,k]| over elements below the threshold
//
//   ca[m,k] = round(x[m,k] · (127 / sca[m])), 0 in outlier columns
//
//   y[m,n] = Σ_k ca[m,k] · code[n,k] · sca[m] · scb[n] · c  +  Σ_{outlier k} x[m,k] · W[n,k]  +  b[n]
//
// with c = 6.200124e-05, the reference's 1/127² (a digit short). Outliers depend on the whole batch, so this
// is an operation of its own and not a weight format.
#pragma once
#include <vector>

#include "weights/int8_row.h"

namespace pare {

struct Int8Activations {
  Tensor codes;               // i8 (M, K)
  Tensor scales;              // f32 (M): sca
  std::vector<i64> outliers;  // columns, ascending
};

/// x (M, K) f32. Threshold 0: no outliers.
Int8Activations quantize_activations_int8(const Tensor& x, float threshold);

/// a (M, K) i8 · b (N, K) i8  →  y (M, N) i32, exact. Throws a bug for K above 133 000, which could overflow.
void int8_product(const Tensor& a, const Tensor& b, Tensor& y);

/// x (M, K) f32 · w (N, K) · bias (N) or undefined  →  y (M, N) f32, which must not alias x.
void linear_int8_outliers(
    const Tensor& x, const Int8RowWeight& w, const Tensor& bias, float threshold, Tensor& y);

}  // namespace pare
