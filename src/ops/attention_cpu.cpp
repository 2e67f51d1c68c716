#include "ops/attention_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

constexpr i64 T = kKeyTile;
constexpr i64 kTileVectors = T / kLanesF;
constexpr i64 kTileRows = kLanesF >= 16 ? 8 : kLanesF == 8 ? 3 : 1;  // accumulators fill the registers
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Width of a head's row in scratch: whole vectors, zero behind E.
HWY_INLINE i64 padded(i64 E) { return (E + kLanesF - 1) / kLanesF * kLanesF; }

/// Copies `rows` rows of E floats to `out` (stride P), times `scale`.
HWY_INLINE void copy_rows(const float* src, i64 stride, i64 rows, i64 E, i64 P, float scale, float* HWY_RESTRICT out) {
  const F f;
  const VF s = hn::Set(f, scale);
  for (i64 r = 0; r < rows; ++r)
    each_vector(E, [&](i64 i, i64 n) HWY_ATTR {
      hn::Store(hn::Mul(load_some(f, src + r * stride + i, n), s), f, out + r * P + i);
    });
}

/// in (rows ≤ T, E) with stride P  →  out (E, T), zero in columns beyond `rows`.
HWY_INLINE void transpose_tile(const float* HWY_RESTRICT in, i64 rows, i64 E, i64 P, float* HWY_RESTRICT out) {
  for (i64 e = 0; e < E; ++e) {
    i64 r = 0;
    for (; r < rows; ++r) out[e * T + r] = in[r * P + e];
    for (; r < T; ++r) out[e * T + r] = 0.0f;
  }
}

/// s (R,T) = a (R,E; stride P) · panel (E,T): one multiply-add chain over e per output.
template <i64 R>
HWY_INLINE void rows_by_panel(const float* HWY_RESTRICT a, i64 P, i64 E, const float* HWY_RESTRICT panel,
                              float* HWY_RESTRICT s) {
  const F f;
  VF sum[R][kTileVectors];
#pragma GCC unroll 64
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 64
    for (i64 v = 0; v < kTileVectors; ++v) sum[r][v] = hn::Zero(f);
  for (i64 e = 0; e < E; ++e) {
    VF b[kTileVectors];
#pragma GCC unroll 64
    for (i64 v = 0; v < kTileVectors; ++v) b[v] = hn::Load(f, panel + e * T + v * kLanesF);
#pragma GCC unroll 64
    for (i64 r = 0; r < R; ++r) {
      const VF x = hn::Set(f, a[r * P + e]);
#pragma GCC unroll 64
      for (i64 v = 0; v < kTileVectors; ++v) sum[r][v] = hn::MulAdd(x, b[v], sum[r][v]);
    }
  }
#pragma GCC unroll 64
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 64
    for (i64 v = 0; v < kTileVectors; ++v) hn::Store(sum[r][v], f, s + r * T + v * kLanesF);
}

HWY_INLINE void all_rows_by_panel(i64 rows, const float* a, i64 P, i64 E, const float* panel, float* s) {
  i64 r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) rows_by_panel<kTileRows>(a + r * P, P, E, panel, s + r * T);
  for (; r < rows; ++r) rows_by_panel<1>(a + r * P, P, E, panel, s + r * T);
}

/// c (R rows; stride P) += a (R,J; stride T) · b (J rows; stride P), columns [0, V·lanes): one chain over j.
template <i64 R, i64 V>
HWY_INLINE void rows_by_rows(const float* HWY_RESTRICT a, i64 J, const float* HWY_RESTRICT b, i64 P,
                             float* HWY_RESTRICT c) {
  const F f;
  VF sum[R][V];
#pragma GCC unroll 64
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 64
    for (i64 v = 0; v < V; ++v) sum[r][v] = hn::Load(f, c + r * P + v * kLanesF);
  for (i64 j = 0; j < J; ++j) {
    VF x[V];
#pragma GCC unroll 64
    for (i64 v = 0; v < V; ++v) x[v] = hn::Load(f, b + j * P + v * kLanesF);
#pragma GCC unroll 64
    for (i64 r = 0; r < R; ++r) {
      const VF p = hn::Set(f, a[r * T + j]);
#pragma GCC unroll 64
      for (i64 v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(p, x[v], sum[r][v]);
    }
  }
#pragma GCC unroll 64
  for (i64 r = 0; r < R; ++r)
#pragma GCC unroll 64
    for (i64 v = 0; v < V; ++v) hn::Store(sum[r][v], f, c + r * P + v * kLanesF);
}

template <i64 V>
HWY_INLINE void column_block(i64 rows, const float* a, i64 J, const float* b, i64 P, float* c) {
  constexpr i64 R = 3;
  i64 r = 0;
  for (; r + R <= rows; r += R) rows_by_rows<R, V>(a + r * T, J, b, P, c + r * P);
  for (; r < rows; ++r) rows_by_rows<1, V>(a + r * T, J, b, P, c + r * P);
}

HWY_INLINE void all_rows_by_rows(i64 rows, const float* a, i64 J, const float* b, i64 P, float* c) {
  i64 at = 0;
  for (; at + 4 * kLanesF <= P; at += 4 * kLanesF) column_block<4>(rows, a, J, b + at, P, c + at);
  for (; at + 2 * kLanesF <= P; at += 2 * kLanesF) column_block<2>(rows, a, J, b + at, P, c + at);
  for (; at < P; at += kLanesF) column_block<1>(rows, a, J, b + at, P, c + at);
}

/// The keys of a tile that the query at `position` sees: [first, last) inside the tile.
struct Seen {
  i64 first, last;
};
HWY_INLINE Seen seen_keys(i64 position, i64 tile_begin, i64 tile_keys, i64 window) {
  const i64 last = HWY_MIN(tile_keys, position + 1 - tile_begin);
  const i64 first = window > 0 ? HWY_MAX(i64{0}, position - window + 1 - tile_begin) : i64{0};
  return {first, last};
}

/// Sets s outside [first, last) to −∞.
HWY_INLINE void mask_row(float* s, Seen seen) {
  for (i64 j = 0; j < seen.first; ++j) s[j] = kMinusInfinity;
  for (i64 j = HWY_MAX(seen.last, i64{0}); j < T; ++j) s[j] = kMinusInfinity;
}

/// s ← e^(s − m) over a tile; returns the sum. A masked key gives exactly 0.
HWY_INLINE float exp_row(float* s, float m) {
  const F f;
  const VF top = hn::Set(f, m), low = hn::Set(f, -87.0f);
  VF sum = hn::Zero(f);
#pragma GCC unroll 64
  for (i64 v = 0; v < kTileVectors; ++v) {
    const VF x = hn::Sub(hn::Load(f, s + v * kLanesF), top);
    const VF e = hn::IfThenElseZero(hn::Ge(x, low), hn::Exp(f, hn::Max(x, low)));
    sum = hn::Add(sum, e);
    hn::Store(e, f, s + v * kLanesF);
  }
  return sum_lanes(f, sum);
}

HWY_INLINE float max_row(const float* s) {
  const F f;
  VF top = hn::Load(f, s);
#pragma GCC unroll 64
  for (i64 v = 1; v < kTileVectors; ++v) top = hn::Max(top, hn::Load(f, s + v * kLanesF));
  return max_lanes(f, top);
}

HWY_INLINE void scale_row(float* x, i64 P, float s) {
  const F f;
  const VF factor = hn::Set(f, s);
  for (i64 i = 0; i < P; i += kLanesF) hn::Store(hn::Mul(hn::Load(f, x + i), factor), f, x + i);
}

void attention_tile(const float* q, const AttentionSeq& seq, const AttentionShape& shape, i64 kv, i64 begin, i64 end,
                    float* o, float* lse, float* scratch) {
  const i64 E = shape.E, P = padded(E), group = shape.H / shape.K, rows = end - begin;
  const i64 q_stride = shape.H * E, kv_stride = shape.K * E;
  float* k_rows = scratch;                     // (T,P)
  float* v_rows = k_rows + T * P;              // (T,P)
  float* panel = v_rows + T * P;               // (E,T)
  float* q_rows = panel + P * T;               // (64,P)
  float* out = q_rows + cpu::kQueryTile * P;   // (64,P)
  float* s = out + cpu::kQueryTile * P;        // (64,T)
  float m[cpu::kQueryTile], sum[cpu::kQueryTile];
  for (i64 i = 0; i < 2 * T * P; ++i) k_rows[i] = 0.0f;
  for (i64 i = 0; i < 2 * cpu::kQueryTile * P; ++i) q_rows[i] = 0.0f;

  const i64 first_position = seq.keys - seq.rows + begin, last_position = first_position + rows - 1;
  const i64 oldest = shape.window > 0 ? HWY_MAX(i64{0}, first_position - shape.window + 1) : i64{0};
  for (i64 h = kv * group; h < (kv + 1) * group; ++h) {
    copy_rows(q + (seq.row + begin) * q_stride + h * E, q_stride, rows, E, P, shape.scale, q_rows);
    for (i64 i = 0; i < rows * P; ++i) out[i] = 0.0f;
    for (i64 r = 0; r < rows; ++r) m[r] = kMinusInfinity, sum[r] = 0.0f;

    for (i64 tile = oldest / T * T; tile <= last_position; tile += T) {
      const i64 keys = HWY_MIN(T, last_position + 1 - tile);
      const i64 block = tile / seq.block_tokens, offset = (tile % seq.block_tokens) * kv_stride + kv * E;
      copy_rows(seq.k_blocks[static_cast<std::size_t>(block)] + offset, kv_stride, keys, E, P, 1.0f, k_rows);
      copy_rows(seq.v_blocks[static_cast<std::size_t>(block)] + offset, kv_stride, keys, E, P, 1.0f, v_rows);
      transpose_tile(k_rows, keys, E, P, panel);
      all_rows_by_panel(rows, q_rows, P, E, panel, s);
      for (i64 r = 0; r < rows; ++r) {
        float* row = s + r * T;
        const Seen seen = seen_keys(first_position + r, tile, keys, shape.window);
        if (seen.first >= seen.last) {
          for (i64 j = 0; j < T; ++j) row[j] = 0.0f;
          continue;
        }
        mask_row(row, seen);
        const float top = HWY_MAX(m[r], max_row(row));
        const float correction = m[r] == top ? 1.0f : std::exp(m[r] - top);  // 0 at the first tile
        sum[r] = sum[r] * correction + exp_row(row, top);
        if (correction != 1.0f) scale_row(out + r * P, P, correction);
        m[r] = top;
      }
      all_rows_by_rows(rows, s, keys, v_rows, P, out);
    }

    for (i64 r = 0; r < rows; ++r) {
      float* to = o + (seq.row + begin + r) * q_stride + h * E;
      const float inverse = 1.0f / sum[r];
      for (i64 e = 0; e < E; ++e) to[e] = out[r * P + e] * inverse;
      if (lse) lse[(seq.row + begin + r) * shape.H + h] = m[r] + std::log(sum[r]);
    }
  }
}

// With P = e^(s − lse), δ = Σ_e dout·o, dS = P·(dout·vᵀ − δ):
//   dv += Pᵀ·dout     dq += scale · dS·k     dk += scale · dSᵀ·q
void attention_backward_head(const cpu::AttentionGradients& g, const AttentionSeq& seq, const AttentionShape& shape,
                             i64 kv, float* scratch) {
  const i64 E = shape.E, P = padded(E), group = shape.H / shape.K, N = seq.rows;
  const i64 q_stride = shape.H * E, kv_stride = shape.K * E;
  float* k_rows = scratch;                      // (T,P) each
  float* v_rows = k_rows + T * P;
  float* dk_rows = v_rows + T * P;
  float* dv_rows = dk_rows + T * P;
  float* q_rows = dv_rows + T * P;
  float* do_rows = q_rows + T * P;
  float* dq_rows = do_rows + T * P;
  float* k_panel = dq_rows + T * P;             // (P,T) each
  float* v_panel = k_panel + P * T;
  float *p = v_panel + P * T, *ds = p + T * T;  // (T,T) each, and their transposes
  float *p_t = ds + T * T, *ds_t = p_t + T * T;
  for (i64 i = 0; i < 7 * T * P; ++i) scratch[i] = 0.0f;
  for (i64 n = 0; n < N; ++n) {
    float* row = g.dq + (seq.row + n) * q_stride + kv * group * E;
    for (i64 i = 0; i < group * E; ++i) row[i] = 0.0f;
  }

  for (i64 tile = 0; tile < N; tile += T) {
    const i64 keys = HWY_MIN(T, N - tile);
    const i64 at = (seq.row + tile) * kv_stride + kv * E;
    copy_rows(g.k + at, kv_stride, keys, E, P, 1.0f, k_rows);
    copy_rows(g.v + at, kv_stride, keys, E, P, 1.0f, v_rows);
    transpose_tile(k_rows, keys, E, P, k_panel);
    transpose_tile(v_rows, keys, E, P, v_panel);
    for (i64 i = 0; i < 2 * T * P; ++i) dk_rows[i] = 0.0f;
    const i64 last_query = shape.window > 0 ? HWY_MIN(N, tile + keys - 1 + shape.window) : N;
    for (i64 h = kv * group; h < (kv + 1) * group; ++h) {
      for (i64 first = tile; first < last_query; first += T) {
        const i64 rows = HWY_MIN(T, last_query - first), q_at = (seq.row + first) * q_stride + h * E;
        copy_rows(g.q + q_at, q_stride, rows, E, P, shape.scale, q_rows);
        copy_rows(g.dout + q_at, q_stride, rows, E, P, 1.0f, do_rows);
        all_rows_by_panel(rows, q_rows, P, E, k_panel, p);
        all_rows_by_panel(rows, do_rows, P, E, v_panel, ds);
        for (i64 r = 0; r < rows; ++r) {
          const i64 n = seq.row + first + r;
          mask_row(p + r * T, seen_keys(first + r, tile, keys, shape.window));
          exp_row(p + r * T, g.lse[n * shape.H + h]);
          float delta = 0.0f;
          const float *dout = g.dout + n * q_stride + h * E, *o = g.o + n * q_stride + h * E;
          for (i64 e = 0; e < E; ++e) delta += dout[e] * o[e];
          for (i64 j = 0; j < T; ++j) ds[r * T + j] = p[r * T + j] * (ds[r * T + j] - delta);
        }
        transpose_tile(p, rows, T, T, p_t);
        transpose_tile(ds, rows, T, T, ds_t);
        all_rows_by_rows(keys, p_t, rows, do_rows, P, dv_rows);
        all_rows_by_rows(keys, ds_t, rows, q_rows, P, dk_rows);
        for (i64 i = 0; i < rows * P; ++i) dq_rows[i] = 0.0f;
        all_rows_by_rows(rows, ds, keys, k_rows, P, dq_rows);
        for (i64 r = 0; r < rows; ++r) {
          float* to = g.dq + q_at + r * q_stride;
          for (i64 e = 0; e < E; ++e) to[e] += dq_rows[r * P + e] * shape.scale;
        }
      }
    }
    for (i64 r = 0; r < keys; ++r)
      for (i64 e = 0; e < E; ++e) {
        g.dk[at + r * kv_stride + e] = dk_rows[r * P + e];
        g.dv[at + r * kv_stride + e] = dv_rows[r * P + e];
      }
  }
}

i64 attention_scratch(i64 E) {
  const i64 P = padded(E), Q = cpu::kQueryTile;
  const i64 forward = 2 * T * P + P * T + 2 * Q * P + Q * T;
  const i64 backward = 7 * T * P + 2 * P * T + 4 * T * T;
  return HWY_MAX(forward, backward);
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(attention_scratch);
HWY_EXPORT(attention_tile);
HWY_EXPORT(attention_backward_head);
i64 attention_scratch(i64 E) { return HWY_DYNAMIC_DISPATCH(attention_scratch)(E); }
void attention_tile(const float* q, const AttentionSeq& seq, const AttentionShape& shape, i64 kv, i64 begin, i64 end,
                    float* o, float* lse, float* scratch) {
  HWY_DYNAMIC_DISPATCH(attention_tile)(q, seq, shape, kv, begin, end, o, lse, scratch);
}
void attention_backward_head(const AttentionGradients& g, const AttentionSeq& seq, const AttentionShape& shape, i64 kv,
                             float* scratch) {
  HWY_DYNAMIC_DISPATCH(attention_backward_head)(g, seq, shape, kv, scratch);
}
}  // namespace pare::cpu
#endif
