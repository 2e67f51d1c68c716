#include "ops/attention_cpu.h"

#include <cmath>
#include <limits>

#include "ops/gemm_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/simd-inl.h"
#include "ops/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

constexpr i64 T = kKeyTile;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLowest = -87.0f;  // e^kLowest is the smallest result above the denormals

HWY_INLINE i64 round_up(i64 n, i64 step) { return (n + step - 1) / step * step; }
/// Width of a head's row in scratch: whole vectors, zero behind E; a multiple of 64 bytes in all.
HWY_INLINE i64 padded(i64 E) { return round_up(E, HWY_MAX(kLanesF, i64{16})); }

HWY_INLINE void fill(float* x, i64 n, float value) {
  for (i64 i = 0; i < n; ++i) x[i] = value;
}

/// Rows of E floats to `out`, times `scale`; zero from E to P.
HWY_INLINE void copy_rows(
    const float* src, i64 stride, i64 rows, i64 E, i64 P, float scale, float* HWY_RESTRICT out) {
  const F f;
  const VF s = hn::Set(f, scale);
  for (i64 r = 0; r < rows; ++r) {
    i64 i = 0;
    for (; i + kLanesF <= E; i += kLanesF)
      hn::Store(hn::Mul(hn::LoadU(f, src + r * stride + i), s), f, out + r * P + i);
    for (; i < E; ++i) out[r * P + i] = src[r * stride + i] * scale;
    for (; i < P; ++i) out[r * P + i] = 0.0f;
  }
}

/// e^x for x ≤ 0 or −∞, correct to about 1 ulp. What would be denormal is exactly 0, as is the weight of a
/// masked key. Two thirds of the instructions of Highway's Exp, which also handles results above 1 and
/// denormal ones.
HWY_INLINE VF exp_or_zero(F f, VF x) {
  const hn::RebindToSigned<F> i;
  const auto c = [f](float value) HWY_ATTR { return hn::Set(f, value); };
  const VF low = c(kLowest), limited = hn::Max(x, low);
  // Added to 1.5·2²³, x / ln 2 is rounded to an integer n that stands in the lowest bits.
  const VF shifted = hn::MulAdd(limited, c(1.44269504f), c(12582912.0f)),
           n = hn::Sub(shifted, c(12582912.0f));
  // ln 2 in two parts, the first short enough for an exact product with n.
  const VF r = hn::MulAdd(n, c(-1.428606765330187e-6f), hn::MulAdd(n, c(-0.693145751953125f), limited));
  // e^r for |r| ≤ ½ ln 2: 1 + r + r²·(a polynomial), the coefficients as in Highway.
  const VF r2 = hn::Mul(r, r), r4 = hn::Mul(r2, r2);
  const VF p01 = hn::MulAdd(r, c(0.166666671633720f), c(0.5f));
  const VF p23 = hn::MulAdd(r, c(0.00833336077630519f), c(0.0416664853692054f));
  const VF p45 = hn::MulAdd(r, c(0.000198527617612853f), c(0.00139304355252534f));
  const VF tail = hn::MulAdd(r4, p45, hn::MulAdd(r2, p23, p01));
  const VF y = hn::Add(hn::MulAdd(tail, r2, r), c(1.0f));
  const VF scaled = hn::BitCast(f, hn::Add(hn::BitCast(i, y), hn::ShiftLeft<23>(hn::BitCast(i, shifted))));
  return hn::IfThenElseZero(hn::Ge(x, low), scaled);
}

// ---- forward: a lane is a column (query row, head), the keys of a tile go downwards ----

/// One block of V·lanes columns: everything below is aligned and W = V·lanes apart.
struct Block {
  float *q, *out;             // (E,W) each: scaled queries and Σ p·v
  float *top, *sum, *factor;  // (W): largest score so far, Σ e^(s − top), e^(old top − new top)
  const float* position;      // (W): position of the column's query minus the task's first one
  i64 first, last;            // of those positions
};

/// Online softmax of s (keys,W): s ← e^(s − top). Each lane sums over its keys in increasing order.
template <i64 V>
HWY_INLINE void softmax_tile(
    const Block& block, i64 keys, bool masked, i64 origin, i64 window, float* HWY_RESTRICT s) {
  const F f;
  constexpr i64 W = V * kLanesF;
  const VF minus_infinity = hn::Set(f, kMinusInfinity);
#pragma GCC unroll 2
  for (i64 v = 0; v < V; ++v) {
    float* column = s + v * kLanesF;
    const VF before = hn::Load(f, block.top + v * kLanesF);
    VF top = before;
    if (masked) {
      // A key j of the tile is seen when  newest − window < j ≤ newest.
      const VF newest =
          hn::Add(hn::Load(f, block.position + v * kLanesF), hn::Set(f, static_cast<float>(origin)));
      const VF oldest = window > 0 ? hn::Sub(newest, hn::Set(f, static_cast<float>(window))) : minus_infinity;
      for (i64 j = 0; j < keys; ++j) {
        const VF key = hn::Set(f, static_cast<float>(j));
        const auto seen = hn::And(hn::Le(key, newest), hn::Lt(oldest, key));
        const VF x = hn::IfThenElse(seen, hn::Load(f, column + j * W), minus_infinity);
        hn::Store(x, f, column + j * W);
        top = hn::Max(top, x);
      }
    } else {
      for (i64 j = 0; j < keys; ++j) top = hn::Max(top, hn::Load(f, column + j * W));
    }
    // Before a lane's first key top is −∞, and −∞ − −∞ is no number.
    const VF base = hn::IfThenElse(hn::Eq(top, minus_infinity), hn::Zero(f), top);
    const VF factor =
        hn::IfThenElse(hn::Eq(before, top), hn::Set(f, 1.0f), exp_or_zero(f, hn::Sub(before, base)));
    VF sum = hn::Mul(hn::Load(f, block.sum + v * kLanesF), factor);
    for (i64 j = 0; j < keys; ++j) {
      const VF p = exp_or_zero(f, hn::Sub(hn::Load(f, column + j * W), base));
      hn::Store(p, f, column + j * W);
      sum = hn::Add(sum, p);
    }
    hn::Store(top, f, block.top + v * kLanesF);
    hn::Store(factor, f, block.factor + v * kLanesF);
    hn::Store(sum, f, block.sum + v * kLanesF);
  }
}

/// Merges the tile of keys at `tile` into the block.
template <i64 V>
HWY_INLINE void merge_tile(const Block& block,
                           const float* k,
                           const float* v,
                           i64 stride,
                           i64 tile,
                           i64 first_position,
                           i64 E,
                           i64 window,
                           float* s) {
  constexpr i64 W = V * kLanesF;
  const i64 origin = first_position - tile;  // position 0 of the block, counted from the tile's first key
  const i64 keys = HWY_MIN(T, block.last + origin + 1);
  if (keys <= 0 || (window > 0 && block.first + origin - window >= T - 1)) return;
  const bool masked = keys - 1 > block.first + origin || (window > 0 && block.last + origin - window >= 0);
  column_strip<Start::zero, V>(keys, TileA{k, stride, 1}, E, block.q, W, s, W, nullptr);
  softmax_tile<V>(block, keys, masked, origin, window, s);
  column_strip<Start::rescale, V>(E, TileA{v, 1, stride}, keys, s, W, block.out, W, block.factor);
}

template <i64 V>
HWY_NOINLINE void forward_columns(const float* q,
                                  const AttentionSeq& seq,
                                  const AttentionShape& shape,
                                  i64 kv,
                                  i64 begin,
                                  i64 end,
                                  float* o,
                                  float* lse,
                                  float* scratch) {
  constexpr i64 W = V * kLanesF;
  const auto transpose = cpu::gemm_kernels().transpose;
  const i64 E = shape.E, P = padded(E), group = shape.H / shape.K;
  const i64 columns = (end - begin) * group, padded_columns = round_up(columns, W),
            blocks = padded_columns / W;
  const i64 q_stride = shape.H * E, kv_stride = shape.K * E;
  const i64 first_position = seq.keys - seq.rows + begin, last_position = first_position + (end - begin) - 1;

  float* queries = scratch;                   // (E,W) for each block
  float* out = queries + padded_columns * P;  // (E,W) for each block
  float* rows = out + padded_columns * P;     // (columns,P): rows on their way in and out
  float* k_tile = rows + padded_columns * P;  // (T,P)
  float* v_tile = k_tile + T * P;             // (T,P)
  float* s = v_tile + T * P;                  // (T,W)
  float* top = s + T * W;                     // (columns) each
  float* sum = top + padded_columns;
  float* factor = sum + padded_columns;
  float* position = factor + padded_columns;

  for (i64 r = begin; r < end; ++r)
    copy_rows(q + (seq.row + r) * q_stride + kv * group * E,
              E,
              group,
              E,
              P,
              shape.scale,
              rows + (r - begin) * group * P);
  for (i64 c = columns; c < padded_columns; ++c) fill(rows + c * P, P, 0.0f);
  fill(out, padded_columns * P, 0.0f);
  fill(top, padded_columns, kMinusInfinity);
  fill(sum, padded_columns, 0.0f);
  for (i64 c = 0; c < padded_columns; ++c) position[c] = static_cast<float>(HWY_MIN(c, columns - 1) / group);
  const auto block_at = [&](i64 b) {
    const i64 at = b * W, last = HWY_MIN(at + W, columns) - 1;
    return Block{queries + at * P,
                 out + at * P,
                 top + at,
                 sum + at,
                 factor + at,
                 position + at,
                 at / group,
                 last / group};
  };
  for (i64 b = 0; b < blocks; ++b) transpose(rows + b * W * P, P, W, E, queries + b * W * P, W);

  const i64 oldest = shape.window > 0 ? HWY_MAX(i64{0}, first_position - shape.window + 1) : i64{0};
  for (i64 tile = oldest / T * T; tile <= last_position; tile += T) {
    const i64 keys = HWY_MIN(T, last_position + 1 - tile);
    const std::size_t memory_block = static_cast<std::size_t>(tile / seq.block_tokens);
    const i64 offset = tile % seq.block_tokens * kv_stride + kv * E;
    const float *k = seq.k_blocks[memory_block] + offset, *v = seq.v_blocks[memory_block] + offset;
    i64 stride = kv_stride;
    if (blocks > 1) {  // rows a power of two apart would evict each other from the cache
      copy_rows(k, stride, keys, E, P, 1.0f, k_tile);
      copy_rows(v, stride, keys, E, P, 1.0f, v_tile);
      k = k_tile, v = v_tile, stride = P;
    }
    for (i64 b = 0; b < blocks; ++b)
      merge_tile<V>(block_at(b), k, v, stride, tile, first_position, E, shape.window, s);
  }

  for (i64 b = 0; b < blocks; ++b) transpose(out + b * W * P, W, E, W, rows + b * W * P, P);
  for (i64 c = 0; c < columns; ++c) {
    const i64 row = seq.row + begin + c / group, h = kv * group + c % group;
    const F f;
    const VF inverse = hn::Set(f, 1.0f / sum[c]);
    each_vector(E, [&](i64 i, i64 n) HWY_ATTR {
      store_some(f, hn::Mul(hn::Load(f, rows + c * P + i), inverse), o + row * q_stride + h * E + i, n);
    });
    if (lse) lse[row * shape.H + h] = top[c] + std::log(sum[c]);
  }
}

void attention_tile(const float* q,
                    const AttentionSeq& seq,
                    const AttentionShape& shape,
                    i64 kv,
                    i64 begin,
                    i64 end,
                    float* o,
                    float* lse,
                    float* scratch) {
  const bool few = (end - begin) * (shape.H / shape.K) <= kLanesF;  // as when one token is decoded
  (few ? forward_columns<1> : forward_columns<2>)(q, seq, shape, kv, begin, end, o, lse, scratch);
}

i64 attention_scratch(i64 E, i64 group) {
  const i64 P = padded(E), columns = round_up(cpu::query_rows(group) * group, 2 * kLanesF);
  return round_up(3 * columns * P + 2 * T * P + T * 2 * kLanesF + 4 * columns, 16);
}

// ---- backward: a lane is a key ----

struct BackwardTile {
  float *k, *dk, *dv;        // (T,P): k is scaled
  float *k_panel, *v_panel;  // (E,T)
  float *p, *ds;             // (T,T)
};

/// p ← e^(s − lse) over the seen keys, ds ← p·(ds − δ), for query rows [first, first + rows) against keys at
/// `tile`.
HWY_INLINE void weights_and_gradients(i64 rows,
                                      i64 first,
                                      i64 tile,
                                      i64 keys,
                                      i64 window,
                                      const float* lse,
                                      const float* delta,
                                      float* HWY_RESTRICT p,
                                      float* HWY_RESTRICT ds) {
  const F f;
  const VF lane = hn::Iota(f, 0.0f);
  for (i64 r = 0; r < rows; ++r) {
    const i64 newest = HWY_MIN(first + r - tile, keys - 1),
              oldest = window > 0 ? first + r - tile - window : i64{-1};
    const VF base = hn::Set(f, lse[r]), shift = hn::Set(f, delta[r]);
    const bool masked = newest < T - 1 || oldest >= 0;
    for (i64 j = 0; j < T; j += kLanesF) {
      VF e = exp_or_zero(f, hn::Sub(hn::Load(f, p + r * T + j), base));
      if (masked) {
        const VF key = hn::Add(lane, hn::Set(f, static_cast<float>(j)));
        e = hn::IfThenElseZero(hn::And(hn::Le(key, hn::Set(f, static_cast<float>(newest))),
                                       hn::Gt(key, hn::Set(f, static_cast<float>(oldest)))),
                               e);
      }
      hn::Store(e, f, p + r * T + j);
      hn::Store(hn::Mul(e, hn::Sub(hn::Load(f, ds + r * T + j), shift)), f, ds + r * T + j);
    }
  }
}

/// Rows [first, first + rows) of one head, all of (rows,P), against one tile of keys.
HWY_INLINE void backward_pair(const BackwardTile& t,
                              i64 rows,
                              i64 first,
                              i64 tile,
                              i64 keys,
                              i64 E,
                              i64 window,
                              const float* q,
                              const float* dout,
                              const float* lse,
                              const float* delta,
                              float* dq) {
  const i64 P = padded(E), width = round_up(E, kLanesF) / kLanesF, panel = T / kLanesF;
  tile_product<Start::zero>(rows, panel, TileA{q, P, 1}, E, t.k_panel, T, t.p, T);
  tile_product<Start::zero>(rows, panel, TileA{dout, P, 1}, E, t.v_panel, T, t.ds, T);
  weights_and_gradients(rows, first, tile, keys, window, lse, delta, t.p, t.ds);
  tile_product<Start::add>(keys, width, TileA{t.p, 1, T}, rows, dout, P, t.dv, P);
  tile_product<Start::add>(keys, width, TileA{t.ds, 1, T}, rows, q, P, t.dk, P);
  tile_product<Start::add>(rows, width, TileA{t.ds, T, 1}, keys, t.k, P, dq, P);
}

// With p = e^(s − lse), δ = Σ_e dout·o, ds = p·(dout·v − δ):
//   dv[j] = Σ_i p[i,j] dout[i]     dk[j] = scale · Σ_i ds[i,j] q[i]     dq[i] = scale · Σ_j ds[i,j] k[j]
void attention_backward_head(const cpu::AttentionGradients& g,
                             const AttentionSeq& seq,
                             const AttentionShape& shape,
                             i64 kv,
                             float* scratch) {
  const auto transpose = cpu::gemm_kernels().transpose;
  const i64 E = shape.E, P = padded(E), group = shape.H / shape.K, N = seq.rows, padded_N = round_up(N, 16);
  const i64 q_stride = shape.H * E, kv_stride = shape.K * E;
  const F f;
  float* q = scratch;                // (N,P), scaled
  float* dout = q + N * P;           // (N,P)
  float* dq = dout + N * P;          // (N,P)
  float* lse = dq + N * P;           // (N)
  float* delta = lse + padded_N;     // (N)
  float* v_rows = delta + padded_N;  // (T,P)
  BackwardTile t;
  t.k = v_rows + T * P, t.dk = t.k + T * P, t.dv = t.dk + T * P;
  t.k_panel = t.dv + T * P, t.v_panel = t.k_panel + P * T, t.p = t.v_panel + P * T, t.ds = t.p + T * T;

  for (i64 h = kv * group; h < (kv + 1) * group; ++h) {
    const i64 at = seq.row * q_stride + h * E;
    copy_rows(g.q + at, q_stride, N, E, P, shape.scale, q);
    copy_rows(g.dout + at, q_stride, N, E, P, 1.0f, dout);
    fill(dq, N * P, 0.0f);
    for (i64 n = 0; n < N; ++n) {
      VF dot = hn::Zero(f);
      each_vector(E, [&](i64 i, i64 count) HWY_ATTR {
        dot =
            hn::MulAdd(hn::Load(f, dout + n * P + i), load_some(f, g.o + at + n * q_stride + i, count), dot);
      });
      delta[n] = sum_lanes(f, dot);
      lse[n] = g.lse[(seq.row + n) * shape.H + h];
    }

    for (i64 tile = 0; tile < N; tile += T) {
      const i64 keys = HWY_MIN(T, N - tile), kv_at = (seq.row + tile) * kv_stride + kv * E;
      copy_rows(g.k + kv_at, kv_stride, keys, E, P, 1.0f, t.k);
      copy_rows(g.v + kv_at, kv_stride, keys, E, P, 1.0f, v_rows);
      fill(t.k + keys * P, (T - keys) * P, 0.0f);
      fill(v_rows + keys * P, (T - keys) * P, 0.0f);
      transpose(t.k, P, T, E, t.k_panel, T);
      transpose(v_rows, P, T, E, t.v_panel, T);
      copy_rows(t.k, P, keys, P, P, shape.scale, t.k);
      fill(t.dk, 2 * T * P, 0.0f);
      const i64 last_query = shape.window > 0 ? HWY_MIN(N, tile + keys - 1 + shape.window) : N;
      for (i64 first = tile; first < last_query; first += T)
        backward_pair(t,
                      HWY_MIN(T, last_query - first),
                      first,
                      tile,
                      keys,
                      E,
                      shape.window,
                      q + first * P,
                      dout + first * P,
                      lse + first,
                      delta + first,
                      dq + first * P);
      for (i64 r = 0; r < keys; ++r)
        each_vector(E, [&](i64 i, i64 n) HWY_ATTR {
          float *dk = g.dk + kv_at + r * kv_stride + i, *dv = g.dv + kv_at + r * kv_stride + i;
          VF x = hn::Load(f, t.dk + r * P + i), y = hn::Load(f, t.dv + r * P + i);
          if (h > kv * group) x = hn::Add(load_some(f, dk, n), x), y = hn::Add(load_some(f, dv, n), y);
          store_some(f, x, dk, n);
          store_some(f, y, dv, n);
        });
    }
    for (i64 n = 0; n < N; ++n)
      each_vector(E, [&](i64 i, i64 count) HWY_ATTR {
        store_some(f, hn::Load(f, dq + n * P + i), g.dq + at + n * q_stride + i, count);
      });
  }
}

i64 attention_backward_scratch(i64 E, i64 rows) {
  const i64 P = padded(E);
  return 3 * rows * P + 2 * round_up(rows, 16) + 4 * T * P + 2 * P * T + 2 * T * T;
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(attention_scratch);
HWY_EXPORT(attention_backward_scratch);
HWY_EXPORT(attention_tile);
HWY_EXPORT(attention_backward_head);
i64 attention_scratch(i64 E, i64 group) { return HWY_DYNAMIC_DISPATCH(attention_scratch)(E, group); }
i64 attention_backward_scratch(i64 E, i64 rows) {
  return HWY_DYNAMIC_DISPATCH(attention_backward_scratch)(E, rows);
}
void attention_tile(const float* q,
                    const AttentionSeq& seq,
                    const AttentionShape& shape,
                    i64 kv,
                    i64 begin,
                    i64 end,
                    float* o,
                    float* lse,
                    float* scratch) {
  HWY_DYNAMIC_DISPATCH(attention_tile)(q, seq, shape, kv, begin, end, o, lse, scratch);
}
void attention_backward_head(const AttentionGradients& g,
                             const AttentionSeq& seq,
                             const AttentionShape& shape,
                             i64 kv,
                             float* scratch) {
  HWY_DYNAMIC_DISPATCH(attention_backward_head)(g, seq, shape, kv, scratch);
}
}  // namespace pare::cpu
#endif
