// Dense f32 matrix product with a fixed order of summation.
// Source of the blocking: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
//
//   C[m,n] (+)= Σ_k A[m,k] · B[k,n]
//
// Each C[m,n] is summed over k in blocks of kGemmDepth; inside a block it is one fused multiply-add chain
// from zero, and block sums are added in order. So the bits depend neither on M, N, threads nor the vector
// width (the scalar and SSE4 tiers round products before adding where the CPU has no fused multiply-add).
#pragma once
#include <functional>

#include "base/types.h"

namespace pare {

inline constexpr i64 kGemmDepth = 384;

enum class Layout { plain, transposed };
enum class Result { write, add };
/// What A and B are rounded to (nearest even) before they are multiplied; sums are f32 either way. bf16: an
/// odd k comes before the even one below it. Twice as fast where the CPU has AVX512-BF16, slower elsewhere.
/// fast: what linear() finds quickest for a weight, integers or one of the others (weights/linear.h).
enum class Products : u8 { f32, bf16, fast };
/// True where products of bf16 have instructions of their own on the running tier.
bool bf16_products_are_native();

/// Fills `tile` with rows [k0,k1) × columns [n0,n1) of B: element (k,n) at tile[(n-n0)·stride + (k-k0)]
/// (column-major: each n contiguous in k). Called once per tile, from any thread.
using DecodeColumns = std::function<void(i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride)>;
/// The same with element (k,n) at tile[(k-k0)·stride + (n-n0)].
using DecodeRows = std::function<void(i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride)>;

/// A operand: plain has element (m,k) at data[m·stride + k], transposed at data[k·stride + m].
struct GemmA {
  const float* data;
  i64 stride;
  Layout layout = Layout::plain;
};
/// B operand: plain has element (k,n) at data[k·stride + n], transposed at data[n·stride + k]; or decoded.
struct GemmB {
  const float* data = nullptr;
  i64 stride = 0;
  Layout layout = Layout::plain;
  DecodeColumns decode_columns;
  DecodeRows decode_rows;
};

/// C (M,N) at c[m·ldc + n]. C must not alias A or B. `bias` (N), or null, is added after the last block.
void gemm(i64 M,
          i64 N,
          i64 K,
          const GemmA& a,
          const GemmB& b,
          float* c,
          i64 ldc,
          Result result,
          const float* bias = nullptr,
          Products products = Products::f32);

}  // namespace pare
