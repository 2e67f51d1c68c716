// Products of small tiles that lie in cache, for ops/attention_cpu.cpp; compiled once per target.
//
//   C[r,c] = start + Σ_k A[r,k] · B[k,c]        element (r,k) of A at a[r·row + k·depth], rows of B and C
//   contiguous
//
// Each output is one multiply-add chain over k in increasing order, whatever the register tile it falls into.
#if defined(PARE_OPS_TILE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_OPS_TILE_PRODUCT_INL_H_
#undef PARE_OPS_TILE_PRODUCT_INL_H_
#else
#define PARE_OPS_TILE_PRODUCT_INL_H_
#endif

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

struct TileA {
  const float* data;
  i64 row, depth;
};

/// What a chain starts from: zero, C as it is, or C times a factor per column.
enum class Start { zero, add, rescale };

/// R rows × V vectors of C in registers: 6 × 2 accumulators, 2 of B and 1 of A are 15 registers.
template <Start kStart, i64 R, i64 V>
HWY_INLINE void register_tile(TileA a,
                              i64 K,
                              const float* HWY_RESTRICT b,
                              i64 ldb,
                              float* HWY_RESTRICT c,
                              i64 ldc,
                              const float* HWY_RESTRICT factor) {
  const F f;
  VF sum[R][V];
#pragma GCC unroll 16
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (i64 v = 0; v < V; ++v) {
      sum[r][v] = kStart == Start::zero ? hn::Zero(f) : hn::Load(f, c + r * ldc + v * kLanesF);
      if (kStart == Start::rescale) sum[r][v] = hn::Mul(sum[r][v], hn::Load(f, factor + v * kLanesF));
    }
  for (i64 k = 0; k < K; ++k) {
    VF x[V];
#pragma GCC unroll 16
    for (i64 v = 0; v < V; ++v) x[v] = hn::Load(f, b + v * kLanesF);
#pragma GCC unroll 16
    for (i64 r = 0; r < R; ++r) {
      const VF y = hn::Set(f, a.data[r * a.row]);
#pragma GCC unroll 16
      for (i64 v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(y, x[v], sum[r][v]);
    }
    a.data += a.depth;
    b += ldb;
  }
#pragma GCC unroll 16
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (i64 v = 0; v < V; ++v) hn::Store(sum[r][v], f, c + r * ldc + v * kLanesF);
}

/// All rows of V vectors of columns, shared out evenly over register tiles of at most kMost rows, so that
/// none is so small that it waits for its own multiply-adds.
template <Start kStart, i64 V>
HWY_NOINLINE void column_strip(
    i64 rows, TileA a, i64 K, const float* b, i64 ldb, float* c, i64 ldc, const float* factor) {
  constexpr i64 kMost = V == 1 ? 8 : 6;
  for (i64 tiles = (rows + kMost - 1) / kMost; tiles > 0; --tiles) {
    const i64 R = rows / tiles;
    switch (R) {
      case 1:
        register_tile<kStart, 1, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 2:
        register_tile<kStart, 2, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 3:
        register_tile<kStart, 3, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 4:
        register_tile<kStart, 4, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 5:
        register_tile<kStart, 5, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 6:
        register_tile<kStart, 6, V>(a, K, b, ldb, c, ldc, factor);
        break;
      case 7:
        register_tile<kStart, HWY_MIN(7, kMost), V>(a, K, b, ldb, c, ldc, factor);
        break;
      default:
        register_tile<kStart, HWY_MIN(8, kMost), V>(a, K, b, ldb, c, ldc, factor);
        break;
    }
    a.data += R * a.row;
    c += R * ldc;
    rows -= R;
  }
}

/// C (rows, vectors · lanes), aligned, as is every row of B.
template <Start kStart>
HWY_INLINE void tile_product(
    i64 rows, i64 vectors, TileA a, i64 K, const float* b, i64 ldb, float* c, i64 ldc) {
  i64 v = 0;
  for (; v + 2 <= vectors; v += 2)
    column_strip<kStart, 2>(rows, a, K, b + v * kLanesF, ldb, c + v * kLanesF, ldc, nullptr);
  if (v < vectors) column_strip<kStart, 1>(rows, a, K, b + v * kLanesF, ldb, c + v * kLanesF, ldc, nullptr);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
