#include "weights/ggml_scale_search.h"

#include <algorithm>

namespace pare {
namespace {

constexpr int kMostValues = 32;
constexpr float kTiny = 1e-15f;  // smaller values are zero
constexpr int kRounds = 5;       // of moving single codes

int clamped(float x, int low, int high) { return std::clamp(nearest_int(x), low, high); }

float range_error(const RangeSearch& s, const float* x, const float* w, const int* codes, ScaleMin fit) {
  float error = 0;
  for (int i = 0; i < s.n; ++i) {
    const float diff = fit.scale * static_cast<float>(codes[i]) + fit.min - x[i];
    error += w[i] * (s.absolute ? std::fabs(diff) : diff * diff);
  }
  return error;
}

/// Σ w x l and Σ w l²: the best scale is xl/l2, and xl²/l2 is what it takes off the error.
struct Sums {
  float xl = 0, l2 = 0;
  void add(float w, float x, int code) {
    const auto l = static_cast<float>(code);
    xl += w * x * l;
    l2 += w * l * l;
  }
  Sums without(float w, float x, int code) const {
    const auto l = static_cast<float>(code);
    return {xl - w * x * l, l2 - w * l * l};
  }
  bool better_than(const Sums& other) const { return xl * xl * other.l2 > other.xl * other.xl * l2; }
  float scale() const { return l2 > 0 ? xl / l2 : 0; }
};

/// Moves one code at a time to where the error falls, in rounds until none moves.
template <class Movable, class Nearest>
Sums move_codes(
    Sums sums, int n, const float* x, const float* w, int* codes, const Movable& movable, Nearest nearest) {
  for (int round = 0; round < kRounds; ++round) {
    bool changed = false;
    for (int i = 0; i < n; ++i) {
      Sums moved = sums.without(w[i], x[i], codes[i]);
      if (!movable(moved)) continue;
      const int code = nearest(x[i] * moved.l2 / moved.xl);
      if (code == codes[i]) continue;
      moved.add(w[i], x[i], code);
      if (moved.l2 > 0 && moved.better_than(sums)) {
        codes[i] = code;
        sums = moved;
        changed = true;
      }
    }
    if (!changed) break;
  }
  return sums;
}

}  // namespace

ScaleMin fit_range(const RangeSearch& s, const float* x, const float* w, int* best_codes) {
  const auto [lowest, highest] = std::minmax_element(x, x + s.n);
  const float max = *highest, min = std::min(*lowest, 0.0f);
  std::fill(best_codes, best_codes + s.n, 0);
  if (max == min) return {0, min};
  float sum_w = 0, sum_x = 0;
  for (int i = 0; i < s.n; ++i) {
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const auto most = static_cast<float>(s.most);
  int codes[kMostValues];
  // The reference steps from the best minimum so far, not from the smallest value.
  ScaleMin best{0, min};
  const auto round_all = [&](float inverse) {
    for (int i = 0; i < s.n; ++i) codes[i] = clamped(inverse * (x[i] - best.min), 0, s.most);
  };
  const float inverse = most / (max - min);
  best.scale = 1 / inverse;
  round_all(inverse);
  float best_error = range_error(s, x, w, codes, best);
  std::copy(codes, codes + s.n, best_codes);
  for (int t = 0; t <= s.steps; ++t) {
    round_all((s.first + s.step * static_cast<float>(t) + most) / (max - best.min));
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (int i = 0; i < s.n; ++i) {
      const auto l = static_cast<float>(codes[i]);
      sum_l += w[i] * l;
      sum_l2 += w[i] * l * l;
      sum_xl += w[i] * l * x[i];
    }
    const float det = sum_w * sum_l2 - sum_l * sum_l;
    if (!(det > 0)) continue;
    ScaleMin fit{(sum_w * sum_xl - sum_x * sum_l) / det, (sum_l2 * sum_x - sum_l * sum_xl) / det};
    if (fit.min > 0) fit = {sum_xl / sum_l2, 0};
    const float error = range_error(s, x, w, codes, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
      std::copy(codes, codes + s.n, best_codes);
    }
  }
  return best;
}

float fit_symmetric(int n, int levels, const float* x, const float* w, int* codes) {
  const float max = extreme(x, n);
  std::fill(codes, codes + n, 0);
  if (std::fabs(max) < kTiny) return 0;
  const auto round_all = [&](float inverse) {
    for (int i = 0; i < n; ++i) codes[i] = clamped(inverse * x[i], -levels, levels - 1) + levels;
  };
  const auto sums_of = [&](float inverse) {
    Sums s;
    for (int i = 0; i < n; ++i) s.add(w[i], x[i], clamped(inverse * x[i], -levels, levels - 1));
    return s;
  };
  const auto most = static_cast<float>(levels);
  const float start = -most / max;
  const Sums first = sums_of(start);
  round_all(start);
  float scale = first.l2 != 0 ? first.xl / first.l2 : 0, best = scale * first.xl;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float inverse = -(most + 0.1f * static_cast<float>(t)) / max;
    const Sums s = sums_of(inverse);
    if (s.l2 > 0 && s.xl * s.xl > best * s.l2) {
      round_all(inverse);
      scale = s.xl / s.l2;
      best = scale * s.xl;
    }
  }
  return scale;
}

float fit_important(int n, int levels, const float* x, const float* w, int* codes) {
  const float scale = fit_symmetric(n, levels, x, w, codes);
  if (scale != 0) return scale;
  float squares[kMostValues];
  square_weights(x, n, squares);
  return fit_symmetric(n, levels, x, squares, codes);
}

float fit_by_moves(int n, int levels, const float* x, int* codes) {
  const float max = extreme(x, n);
  std::fill(codes, codes + n, 0);
  if (std::fabs(max) < kTiny) return 0;
  const float inverse = -static_cast<float>(levels) / max;
  float w[kMostValues];
  square_weights(x, n, w);
  const auto nearest = [&](float value) { return clamped(value, -levels, levels - 1); };
  Sums sums;
  for (int i = 0; i < n; ++i) {
    codes[i] = nearest(inverse * x[i]);
    sums.add(w[i], x[i], codes[i]);
  }
  sums = move_codes(
      sums, n, x, w, codes, [](const Sums& rest) { return rest.xl > 0; }, nearest);
  for (int i = 0; i < n; ++i) codes[i] += levels;
  return sums.scale();
}

float fit_positive(int n, int most, const float* x, const float* w, int* codes) {
  const float max = std::max(0.0f, *std::max_element(x, x + n));
  std::fill(codes, codes + n, 0);
  if (max < kTiny) return 0;
  const auto nearest = [&](float value) { return clamped(value, 0, most); };
  const auto error_of = [&](float inverse) {
    const float scale = 1 / inverse;
    float error = 0;
    for (int i = 0; i < n; ++i) {
      const float diff = x[i] - scale * static_cast<float>(nearest(inverse * x[i]));
      error += w[i] * diff * diff;
    }
    return error;
  };
  float inverse = static_cast<float>(most) / max, best_error = error_of(inverse);
  for (int t = -4; t <= 4; ++t) {
    if (t == 0) continue;
    const float other = (0.1f * static_cast<float>(t) + static_cast<float>(most)) / max;
    const float error = error_of(other);
    if (error < best_error) {
      best_error = error;
      inverse = other;
    }
  }
  Sums sums;
  for (int i = 0; i < n; ++i) {
    codes[i] = nearest(inverse * x[i]);
    sums.add(w[i], x[i], codes[i]);
  }
  const auto movable = [](const Sums& rest) { return rest.xl > 0 && rest.l2 > 0; };
  sums = move_codes(sums, n, x, w, codes, movable, nearest);
  if (sums.scale() != 0) return sums.scale();
  float alike[kMostValues];
  std::fill(alike, alike + n, 1.0f);
  return fit_positive(n, most, x, alike, codes);
}

}  // namespace pare
