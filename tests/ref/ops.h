// The ops of src/ops in double precision, as their headers' formulas read: slow, plain, for comparison only.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "tensor/tensor.h"

namespace pare::ref {

using Doubles = std::vector<double>;

inline Doubles doubles(const Tensor& t) { return {t.f32(), t.f32() + t.count()}; }

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Normal numbers of a seed, rounded to f32.
inline Tensor normal(const Shape& shape, u64 seed, double deviation = 1.0, double mean = 0.0) {
  Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(mean + rng.normal() * deviation);
  return t;
}

/// d loss / d x by central differences: the error is about step² times the third derivative.
inline Doubles central_differences(const Doubles& x,
                                   const std::function<double(const Doubles&)>& loss,
                                   double step = 1e-5) {
  Doubles at = x, gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    at[i] = x[i] + step;
    const double up = loss(at);
    at[i] = x[i] - step;
    gradient[i] = (up - loss(at)) / (2 * step);
    at[i] = x[i];
  }
  return gradient;
}

// ---- rows ----

inline Doubles rmsnorm(const Doubles& x, const Doubles& w, double eps) {
  const std::size_t D = w.size();
  Doubles y(x.size());
  for (std::size_t n = 0; n < x.size(); n += D) {
    double squares = 0;
    for (std::size_t d = 0; d < D; ++d) squares += x[n + d] * x[n + d];
    const double r = 1 / std::sqrt(squares / static_cast<double>(D) + eps);
    for (std::size_t d = 0; d < D; ++d) y[n + d] = x[n + d] * r * w[d];
  }
  return y;
}

inline Doubles layernorm(const Doubles& x, const Doubles& w, const Doubles& b, double eps) {
  const std::size_t D = w.size();
  Doubles y(x.size());
  for (std::size_t n = 0; n < x.size(); n += D) {
    double mean = 0, variance = 0;
    for (std::size_t d = 0; d < D; ++d) mean += x[n + d] / static_cast<double>(D);
    for (std::size_t d = 0; d < D; ++d) variance += std::pow(x[n + d] - mean, 2) / static_cast<double>(D);
    for (std::size_t d = 0; d < D; ++d)
      y[n + d] = (x[n + d] - mean) / std::sqrt(variance + eps) * w[d] + b[d];
  }
  return y;
}

/// x rows of heads·E; the angle of pair i is the f32 product of position and frequency.
inline Doubles rope(const Doubles& x,
                    const std::vector<i32>& pos,
                    const std::vector<float>& inv_freq,
                    double scaling,
                    i64 E) {
  Doubles y = x;
  const i64 half = static_cast<i64>(inv_freq.size()), N = static_cast<i64>(pos.size());
  const i64 width = static_cast<i64>(x.size()) / N;
  for (i64 n = 0; n < N; ++n)
    for (i64 head = n * width; head < (n + 1) * width; head += E)
      for (i64 i = 0; i < half; ++i) {
        const float angle =
            static_cast<float>(pos[static_cast<std::size_t>(n)]) * inv_freq[static_cast<std::size_t>(i)];
        const double c = scaling * std::cos(static_cast<double>(angle)),
                     s = scaling * std::sin(static_cast<double>(angle));
        const std::size_t a = static_cast<std::size_t>(head + i),
                          b = static_cast<std::size_t>(head + i + half);
        y[a] = x[a] * c - x[b] * s;
        y[b] = x[b] * c + x[a] * s;
      }
  return y;
}

// ---- elements ----

inline double silu(double g) { return g / (1 + std::exp(-g)); }
inline double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

// ---- losses ----

inline Doubles log_softmax(const Doubles& row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const double x : row) sum += std::exp(x - top);
  Doubles out;
  for (const double x : row) out.push_back(x - top - std::log(sum));
  return out;
}

// ---- attention ----

struct Attention {
  i64 H, K, E, window;
  double scale;
};

/// Queries (rows, H·E) at positions keys − rows + i over keys and values (keys, K·E) → o (rows, H·E), and
/// lse.
inline Doubles attention(
    const Doubles& q, const Doubles& k, const Doubles& v, const Attention& s, Doubles* lse = nullptr) {
  const i64 rows = static_cast<i64>(q.size()) / (s.H * s.E), keys = static_cast<i64>(k.size()) / (s.K * s.E);
  Doubles o(q.size(), 0.0);
  if (lse) lse->assign(static_cast<std::size_t>(rows * s.H), 0.0);
  for (i64 i = 0; i < rows; ++i)
    for (i64 h = 0; h < s.H; ++h) {
      const i64 position = keys - rows + i,
                first = s.window > 0 ? std::max<i64>(0, position - s.window + 1) : 0;
      const i64 q_at = (i * s.H + h) * s.E, kv = h / (s.H / s.K);
      Doubles score;
      for (i64 j = first; j <= position; ++j) {
        double sum = 0;
        for (i64 e = 0; e < s.E; ++e)
          sum +=
              q[static_cast<std::size_t>(q_at + e)] * k[static_cast<std::size_t>((j * s.K + kv) * s.E + e)];
        score.push_back(sum * s.scale);
      }
      const Doubles logp = log_softmax(score);
      if (lse) (*lse)[static_cast<std::size_t>(i * s.H + h)] = score[0] - logp[0];
      for (i64 j = first; j <= position; ++j)
        for (i64 e = 0; e < s.E; ++e)
          o[static_cast<std::size_t>(q_at + e)] += std::exp(logp[static_cast<std::size_t>(j - first)]) *
                                                   v[static_cast<std::size_t>((j * s.K + kv) * s.E + e)];
    }
  return o;
}

struct AttentionGradients {
  Doubles dq, dk, dv;
};

/// Of Σ dout·o for one sequence whose keys are its own rows, from the definition: softmax first, then its
/// gradient.
inline AttentionGradients attention_backward(
    const Doubles& dout, const Doubles& q, const Doubles& k, const Doubles& v, const Attention& s) {
  const i64 N = static_cast<i64>(q.size()) / (s.H * s.E);
  Doubles lse;
  const Doubles o = attention(q, k, v, s, &lse);
  AttentionGradients g{Doubles(q.size(), 0.0), Doubles(k.size(), 0.0), Doubles(v.size(), 0.0)};
  for (i64 i = 0; i < N; ++i)
    for (i64 h = 0; h < s.H; ++h)
      for (i64 j = s.window > 0 ? std::max<i64>(0, i - s.window + 1) : 0; j <= i; ++j) {
        const std::size_t a = static_cast<std::size_t>((i * s.H + h) * s.E);
        const std::size_t b = static_cast<std::size_t>((j * s.K + h / (s.H / s.K)) * s.E);
        const std::size_t E = static_cast<std::size_t>(s.E);
        double score = 0, slope = 0;
        for (std::size_t e = 0; e < E; ++e) {
          score += s.scale * q[a + e] * k[b + e];
          slope += dout[a + e] * (v[b + e] - o[a + e]);
        }
        const double p = std::exp(score - lse[static_cast<std::size_t>(i * s.H + h)]);
        for (std::size_t e = 0; e < E; ++e) {
          g.dv[b + e] += p * dout[a + e];
          g.dk[b + e] += s.scale * p * slope * q[a + e];
          g.dq[a + e] += s.scale * p * slope * k[b + e];
        }
      }
  return g;
}

}  // namespace pare::ref
