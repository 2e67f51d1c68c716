#include "ops/elementwise_cpu.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/elementwise_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace pare::HWY_NAMESPACE {

// 1 / (1 + e^−x). The exponent is clamped: beyond ±80 the result is 0 or 1 to the last bit anyway.
HWY_INLINE VF sigmoid(F f, VF x) {
  const VF limited = hn::Clamp(x, hn::Set(f, -80.0f), hn::Set(f, 80.0f));
  return hn::Div(hn::Set(f, 1.0f), hn::Add(hn::Set(f, 1.0f), hn::Exp(f, hn::Neg(limited))));
}

void silu_mul_range(const float* g, const float* u, i64 begin, i64 end, float* y) {
  const F f;
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    const VF gv = load_some(f, g + begin + i, n);
    store_some(f, hn::Mul(hn::Mul(gv, sigmoid(f, gv)), load_some(f, u + begin + i, n)), y + begin + i, n);
  });
}

// silu'(g) = σ(1 + g(1 − σ))
void silu_mul_backward_range(
    const float* dy, const float* g, const float* u, i64 begin, i64 end, float* dg, float* du) {
  const F f;
  const VF one = hn::Set(f, 1.0f);
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    const i64 at = begin + i;
    const VF d = load_some(f, dy + at, n), gv = load_some(f, g + at, n), uv = load_some(f, u + at, n);
    const VF s = sigmoid(f, gv);
    const VF slope = hn::Mul(s, hn::MulAdd(gv, hn::Sub(one, s), one));
    store_some(f, hn::Mul(hn::Mul(d, uv), slope), dg + at, n);
    store_some(f, hn::Mul(d, hn::Mul(gv, s)), du + at, n);
  });
}

// ½(1 + tanh z) = σ(2z), so gelu(x) = x·σ(2z) with z = √(2/π)(x + 0.044715x³).
constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
constexpr float kCubic = 0.044715f;

HWY_INLINE VF gelu_inner(F f, VF x) {
  const VF cubic = hn::MulAdd(hn::Mul(hn::Set(f, kCubic), x), hn::Mul(x, x), x);
  return hn::Mul(hn::Set(f, kTwoRootTwoOverPi), cubic);
}

void gelu_tanh_range(const float* x, i64 begin, i64 end, float* y) {
  const F f;
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    const VF v = load_some(f, x + begin + i, n);
    store_some(f, hn::Mul(v, sigmoid(f, gelu_inner(f, v))), y + begin + i, n);
  });
}

void gelu_tanh_backward_range(const float* dy, const float* x, i64 begin, i64 end, float* dx) {
  const F f;
  const VF one = hn::Set(f, 1.0f);
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    const VF v = load_some(f, x + begin + i, n);
    const VF s = sigmoid(f, gelu_inner(f, v));
    const VF inner_slope =
        hn::Mul(hn::Set(f, kTwoRootTwoOverPi), hn::MulAdd(hn::Set(f, 3 * kCubic), hn::Mul(v, v), one));
    const VF slope = hn::MulAdd(hn::Mul(v, hn::Mul(s, hn::Sub(one, s))), inner_slope, s);
    store_some(f, hn::Mul(load_some(f, dy + begin + i, n), slope), dx + begin + i, n);
  });
}

void add_to_range(const float* x, i64 begin, i64 end, float* y) {
  const F f;
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    store_some(f, hn::Add(load_some(f, y + begin + i, n), load_some(f, x + begin + i, n)), y + begin + i, n);
  });
}

void scale_range(const float* x, float s, i64 begin, i64 end, float* y) {
  const F f;
  each_vector(end - begin, [&](i64 i, i64 n) HWY_ATTR {
    store_some(f, hn::Mul(load_some(f, x + begin + i, n), hn::Set(f, s)), y + begin + i, n);
  });
}

// In double, as an f32 angle of 10⁵ leaves no bits for its remainder. Reduction to |r| ≤ π/4 by Cody & Waite
// 1980; the polynomials are those of fdlibm (Sun, 1993) but for the last term, of 10⁻¹¹ here.
void rope_angles(float position,
                 const float* inv_freq,
                 i64 n,
                 float cos_factor,
                 float sin_factor,
                 float* cos,
                 float* sin) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  const auto c = [d](double value) HWY_ATTR { return hn::Set(d, value); };
  const auto one = c(1.0), two = c(2.0), three = c(3.0);
  for (i64 i = 0; i < n; i += static_cast<i64>(hn::Lanes(d))) {
    const auto angle = hn::PromoteTo(d, hn::Mul(hn::Set(half, position), hn::LoadU(half, inv_freq + i)));
    const auto turns = hn::Round(hn::Mul(angle, c(0.63661977236758134308)));
    // The first part of π/2 has 33 bits: its product with `turns` is exact.
    auto r = hn::Sub(angle, hn::Mul(turns, c(1.57079632673412561417)));
    r = hn::Sub(r, hn::Mul(turns, c(6.07710050650619224932e-11)));
    const auto z = hn::Mul(r, r);
    auto s = hn::MulAdd(z, c(-2.50507602534068634195e-08), c(2.75573137070700676789e-06));
    s = hn::MulAdd(z, s, c(-1.98412698298579493134e-04));
    s = hn::MulAdd(z, s, c(8.33333333332248946124e-03));
    s = hn::MulAdd(z, s, c(-1.66666666666666324348e-01));
    s = hn::MulAdd(hn::Mul(z, r), s, r);
    auto k = hn::MulAdd(z, c(2.08757232129817482790e-09), c(-2.75573143513906633035e-07));
    k = hn::MulAdd(z, k, c(2.48015872894767294178e-05));
    k = hn::MulAdd(z, k, c(-1.38888888888741095749e-03));
    k = hn::MulAdd(z, k, c(4.16666666666666019037e-02));
    k = hn::MulAdd(hn::Mul(z, z), k, hn::Sub(one, hn::Mul(z, c(0.5))));
    const auto quarter = hn::Sub(turns, hn::Mul(c(4.0), hn::Floor(hn::Mul(turns, c(0.25)))));  // 0 … 3
    const auto swap = hn::Or(hn::Eq(quarter, one), hn::Eq(quarter, three));
    const auto s_out = hn::IfThenElse(swap, k, s), k_out = hn::IfThenElse(swap, s, k);
    const auto s_negative = hn::Ge(quarter, two),
               k_negative = hn::Or(hn::Eq(quarter, one), hn::Eq(quarter, two));
    const auto sine = hn::DemoteTo(half, hn::IfThenElse(s_negative, hn::Neg(s_out), s_out));
    const auto cosine = hn::DemoteTo(half, hn::IfThenElse(k_negative, hn::Neg(k_out), k_out));
    hn::StoreU(hn::Mul(sine, hn::Set(half, sin_factor)), half, sin + i);
    hn::StoreU(hn::Mul(cosine, hn::Set(half, cos_factor)), half, cos + i);
  }
}

void rope_row(float* x, i64 heads, i64 E, i64 half, const float* cos, const float* sin) {
  const F f;
  for (i64 h = 0; h < heads; ++h) {
    float *low = x + h * E, *high = low + half;
    each_vector(half, [&](i64 i, i64 n) HWY_ATTR {
      const VF a = load_some(f, low + i, n), b = load_some(f, high + i, n);
      const VF c = load_some(f, cos + i, n), s = load_some(f, sin + i, n);
      store_some(f, hn::NegMulAdd(b, s, hn::Mul(a, c)), low + i, n);
      store_some(f, hn::MulAdd(a, s, hn::Mul(b, c)), high + i, n);
    });
  }
}

HWY_INLINE float max_of_row(F f, const float* x, i64 V) {
  VF top = hn::Set(f, -std::numeric_limits<float>::infinity());
  i64 i = 0;
  for (; i + kLanesF <= V; i += kLanesF) top = hn::Max(top, hn::LoadU(f, x + i));
  float max = max_lanes(f, top);
  for (; i < V; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

i64 argmax_row(const float* x, i64 V) {
  const F f;
  const float max = max_of_row(f, x, V);
  i64 i = 0;
  for (; i + kLanesF <= V; i += kLanesF)
    if (!hn::AllFalse(f, hn::Eq(hn::LoadU(f, x + i), hn::Set(f, max)))) break;
  for (; i < V; ++i)
    if (x[i] == max) return i;
  return 0;
}

void shift_row(const float* x, i64 V, float s, float* y) {
  const F f;
  each_vector(V, [&](i64 i, i64 n) HWY_ATTR {
    store_some(f, hn::Add(load_some(f, x + i, n), hn::Set(f, s)), y + i, n);
  });
}

cpu::RowSum exp_sum_row(const float* x, i64 V) {
  const F f;
  const float max = max_of_row(f, x, V);
  const VF m = hn::Set(f, max);
  VF sum = hn::Zero(f);
  i64 k = 0;
  for (; k + kLanesF <= V; k += kLanesF) sum = hn::Add(sum, hn::Exp(f, hn::Sub(hn::LoadU(f, x + k), m)));
  if (k < V) {
    const VF e = hn::Exp(f, hn::Sub(load_part(f, x + k, V - k), m));
    sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(f, static_cast<std::size_t>(V - k)), e));
  }
  return {max, sum_lanes(f, sum)};
}

void softmax_row(const float* x, i64 V, float lse, float scale, float* y) {
  const F f;
  const VF l = hn::Set(f, lse), s = hn::Set(f, scale);
  each_vector(V, [&](i64 i, i64 n) HWY_ATTR {
    store_some(f, hn::Mul(hn::Exp(f, hn::Sub(load_some(f, x + i, n), l)), s), y + i, n);
  });
}

void layernorm_rows(const float* x,
                    const float* w,
                    const float* b,
                    float eps,
                    i64 begin,
                    i64 end,
                    i64 D,
                    float* y,
                    float* m,
                    float* r) {
  const F f;
  for (i64 n = begin; n < end; ++n) {
    const float* row = x + n * D;
    VF sum = hn::Zero(f);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR { sum = hn::Add(sum, load_some(f, row + i, count)); });
    m[n] = sum_lanes(f, sum) / static_cast<float>(D);
    const VF mv = hn::Set(f, m[n]);
    VF squares = hn::Zero(f);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      VF v = hn::Sub(load_some(f, row + i, count), mv);
      if (count < kLanesF) v = hn::IfThenElseZero(hn::FirstN(f, static_cast<std::size_t>(count)), v);
      squares = hn::MulAdd(v, v, squares);
    });
    r[n] = 1.0f / std::sqrt(sum_lanes(f, squares) / static_cast<float>(D) + eps);
    const VF rv = hn::Set(f, r[n]);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF v = hn::Mul(hn::Sub(load_some(f, row + i, count), mv), rv);
      store_some(
          f, hn::MulAdd(v, load_some(f, w + i, count), load_some(f, b + i, count)), y + n * D + i, count);
    });
  }
}

// With u = dy·w and x̂ = (x − m)r:  dx = r(u − mean(u) − x̂·mean(u·x̂))   dw += dy·x̂   db += dy
void layernorm_backward_rows(const float* dy,
                             const float* x,
                             const float* w,
                             const float* m,
                             const float* r,
                             i64 begin,
                             i64 end,
                             i64 D,
                             float* dx,
                             float* dw,
                             float* db) {
  const F f;
  for (i64 n = begin; n < end; ++n) {
    const float *g = dy + n * D, *row = x + n * D;
    const VF mv = hn::Set(f, m[n]), rv = hn::Set(f, r[n]);
    VF sum = hn::Zero(f), dot = hn::Zero(f);
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF gv = load_some(f, g + i, count);
      const VF hat = hn::Mul(hn::Sub(load_some(f, row + i, count), mv), rv);
      const VF u = hn::Mul(gv, load_some(f, w + i, count));  // zero behind the row's end
      sum = hn::Add(sum, u);
      dot = hn::MulAdd(u, hat, dot);
      store_some(f, hn::MulAdd(gv, hat, load_some(f, dw + i, count)), dw + i, count);
      store_some(f, hn::Add(gv, load_some(f, db + i, count)), db + i, count);
    });
    const VF mean_u = hn::Set(f, sum_lanes(f, sum) / static_cast<float>(D));
    const VF mean_dot = hn::Set(f, sum_lanes(f, dot) / static_cast<float>(D));
    each_vector(D, [&](i64 i, i64 count) HWY_ATTR {
      const VF hat = hn::Mul(hn::Sub(load_some(f, row + i, count), mv), rv);
      const VF u = hn::Mul(load_some(f, g + i, count), load_some(f, w + i, count));
      const VF v = hn::NegMulAdd(hat, mean_dot, hn::Sub(u, mean_u));
      store_some(f, hn::Mul(v, rv), dx + n * D + i, count);
    });
  }
}

}  // namespace pare::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare::cpu {
HWY_EXPORT(silu_mul_range);
HWY_EXPORT(silu_mul_backward_range);
HWY_EXPORT(gelu_tanh_range);
HWY_EXPORT(gelu_tanh_backward_range);
HWY_EXPORT(add_to_range);
HWY_EXPORT(scale_range);
HWY_EXPORT(rope_angles);
HWY_EXPORT(rope_row);
HWY_EXPORT(argmax_row);
HWY_EXPORT(shift_row);
HWY_EXPORT(exp_sum_row);
HWY_EXPORT(softmax_row);
HWY_EXPORT(layernorm_rows);
HWY_EXPORT(layernorm_backward_rows);

void silu_mul_range(const float* g, const float* u, i64 begin, i64 end, float* y) {
  HWY_DYNAMIC_DISPATCH(silu_mul_range)(g, u, begin, end, y);
}
void silu_mul_backward_range(
    const float* dy, const float* g, const float* u, i64 begin, i64 end, float* dg, float* du) {
  HWY_DYNAMIC_DISPATCH(silu_mul_backward_range)(dy, g, u, begin, end, dg, du);
}
void gelu_tanh_range(const float* x, i64 begin, i64 end, float* y) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_range)(x, begin, end, y);
}
void gelu_tanh_backward_range(const float* dy, const float* x, i64 begin, i64 end, float* dx) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_backward_range)(dy, x, begin, end, dx);
}
void add_to_range(const float* x, i64 begin, i64 end, float* y) {
  HWY_DYNAMIC_DISPATCH(add_to_range)(x, begin, end, y);
}
void scale_range(const float* x, float s, i64 begin, i64 end, float* y) {
  HWY_DYNAMIC_DISPATCH(scale_range)(x, s, begin, end, y);
}
void rope_angles(float position,
                 const float* inv_freq,
                 i64 n,
                 float cos_factor,
                 float sin_factor,
                 float* cos,
                 float* sin) {
  HWY_DYNAMIC_DISPATCH(rope_angles)(position, inv_freq, n, cos_factor, sin_factor, cos, sin);
}
i64 argmax_row(const float* x, i64 V) { return HWY_DYNAMIC_DISPATCH(argmax_row)(x, V); }
void shift_row(const float* x, i64 V, float s, float* y) { HWY_DYNAMIC_DISPATCH(shift_row)(x, V, s, y); }
void rope_row(float* x, i64 heads, i64 E, i64 half, const float* cos, const float* sin) {
  HWY_DYNAMIC_DISPATCH(rope_row)(x, heads, E, half, cos, sin);
}
RowSum exp_sum_row(const float* x, i64 V) { return HWY_DYNAMIC_DISPATCH(exp_sum_row)(x, V); }
void softmax_row(const float* x, i64 V, float lse, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(softmax_row)(x, V, lse, scale, y);
}
void layernorm_rows(const float* x,
                    const float* w,
                    const float* b,
                    float eps,
                    i64 begin,
                    i64 end,
                    i64 D,
                    float* y,
                    float* m,
                    float* r) {
  HWY_DYNAMIC_DISPATCH(layernorm_rows)(x, w, b, eps, begin, end, D, y, m, r);
}
void layernorm_backward_rows(const float* dy,
                             const float* x,
                             const float* w,
                             const float* m,
                             const float* r,
                             i64 begin,
                             i64 end,
                             i64 D,
                             float* dx,
                             float* dw,
                             float* db) {
  HWY_DYNAMIC_DISPATCH(layernorm_backward_rows)(dy, x, w, m, r, begin, end, D, dx, dw, db);
}
}  // namespace pare::cpu
#endif
