// Dense f64 matrix product with a fixed order of summation, for factorisations.
//
//   C[m,n] (+)= Σ_k A[m,k] · B[k,n]
//
// Each C[m,n] is summed over k in blocks of kGemmDepthF64, each one fused multiply-add chain from zero; block
// sums are added in order. So the bits depend neither on M, N, threads nor the vector width (the scalar and
// SSE4 tiers round products before adding where the CPU has no fused multiply-add).
#pragma once
#include "ops/gemm.h"

namespace pare {

inline constexpr i64 kGemmDepthF64 = 256;

/// B plain has element (k,n) at data[k·stride + n], transposed at data[n·stride + k].
struct GemmB64 {
  const double* data;
  i64 stride;
  Layout layout = Layout::plain;
};

/// A (M,K) at a[m·lda + k], C (M,N) at c[m·ldc + n]. C must not alias A or B.
void gemm_f64(
    i64 M, i64 N, i64 K, const double* a, i64 lda, const GemmB64& b, double* c, i64 ldc, Result result);

}  // namespace pare
