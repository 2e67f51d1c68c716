#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/half.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {

constexpr int kBlock = 256;
constexpr int kSubBlocks16 = kBlock / 16, kSubBlocks32 = kBlock / 32;
constexpr float kTiny = 1e-15f;  // a sub-block of smaller values is zero

/// Writes the f16 nearest to `value`; returns what it reads as.
float put_f16(u8* at, float value) {
  const u16 bits = f32_to_f16(value);
  std::memcpy(at, &bits, 2);
  return f16_to_f32(bits);
}

int clamped(float x, int low, int high) { return std::clamp(nearest_int(x), low, high); }

// ---- x ≈ scale · code + min, min ≤ 0: Q2_K, Q4_K, Q5_K ----

struct RangeSearch {
  int n, most;  // values, largest code
  float first, step;
  int steps;
  bool absolute;  // error is Σ w |x − x̂| instead of Σ w (x − x̂)²
};
struct ScaleMin {
  float scale, min;
};

float range_error(const RangeSearch& s, const float* x, const float* w, const int* codes, ScaleMin fit) {
  float error = 0;
  for (int i = 0; i < s.n; ++i) {
    const float diff = fit.scale * static_cast<float>(codes[i]) + fit.min - x[i];
    error += w[i] * (s.absolute ? std::fabs(diff) : diff * diff);
  }
  return error;
}

/// Tries steps of the grid around most/(max − min), solves weighted least squares for each, keeps the best.
/// `min` of the result is ≤ 0. Writes its codes.
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
  int codes[32];
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

/// As above for the `n` sub-blocks of a block, and their largest scale and −min.
struct RangeFits {
  float scale[kSubBlocks16], min[kSubBlocks16];  // min ≥ 0: what is subtracted
  float max_scale = 0, max_min = 0;
  int codes[kBlock];  // where a step is 0 any code will do, and the reference keeps those of its search
};
template <class Weights>
RangeFits fit_ranges(const RangeSearch& s, const float* x, const Weights& weights) {
  RangeFits fits;
  for (int j = 0; j < kBlock / s.n; ++j) {
    float w[32];
    weights(x + j * s.n, w);
    const ScaleMin fit = fit_range(s, x + j * s.n, w, fits.codes + j * s.n);
    fits.scale[j] = fit.scale;
    fits.min[j] = -fit.min;
    fits.max_scale = std::max(fits.max_scale, fits.scale[j]);
    fits.max_min = std::max(fits.max_min, fits.min[j]);
  }
  return fits;
}

void encode_q2_k(const float* x, u8* block) {
  constexpr float kMost = 15;
  const auto magnitudes = [](const float* from, float* w) {
    for (int i = 0; i < 16; ++i) w[i] = std::fabs(from[i]);
  };
  const RangeFits fits = fit_ranges({16, 3, -0.5f, 0.1f, 15, true}, x, magnitudes);
  const float to_scale = fits.max_scale > 0 ? kMost / fits.max_scale : 0;
  const float to_min = fits.max_min > 0 ? kMost / fits.max_min : 0;
  const float d = put_f16(block + 80, fits.max_scale / kMost);
  const float dmin = put_f16(block + 82, fits.max_min / kMost);
  for (int j = 0; j < kSubBlocks16; ++j) {
    const int sc = nearest_int(to_scale * fits.scale[j]) & 15, m = nearest_int(to_min * fits.min[j]) & 15;
    block[j] = static_cast<u8>(sc | m << 4);
    const float step = d * static_cast<float>(sc), low = dmin * static_cast<float>(m);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? clamped((x[i] + low) / step, 0, 3) : fits.codes[i];
      u8& byte = block[16 + i / 128 * 32 + i % 32];
      byte = static_cast<u8>(byte | code << (i % 128 / 32 * 2));
    }
  }
}

/// Six bits of scale and of minimum for each of 8 sub-blocks, in 12 bytes.
void put_sub_scales(const int* sc, const int* m, u8* s) {
  for (int j = 0; j < 4; ++j) {
    s[j] = static_cast<u8>(sc[j] | (sc[j + 4] >> 4) << 6);
    s[j + 4] = static_cast<u8>(m[j] | (m[j + 4] >> 4) << 6);
    s[j + 8] = static_cast<u8>((sc[j + 4] & 15) | (m[j + 4] & 15) << 4);
  }
}

/// Q4_K and Q5_K differ in the largest code, the search, and the place of the fifth bit.
void encode_q45_k(const float* x, bool five, u8* block) {
  constexpr float kMost = 63;
  const auto weights = [](const float* from, float* w) {
    float sum = 0;
    for (int i = 0; i < 32; ++i) sum += from[i] * from[i];
    const float rms = std::sqrt(sum / 32);
    for (int i = 0; i < 32; ++i) w[i] = rms + std::fabs(from[i]);
  };
  const RangeSearch search =
      five ? RangeSearch{32, 31, -0.5f, 0.1f, 15, false} : RangeSearch{32, 15, -1.0f, 0.1f, 20, false};
  const RangeFits fits = fit_ranges(search, x, weights);
  const float to_scale = fits.max_scale > 0 ? kMost / fits.max_scale : 0;
  const float to_min = fits.max_min > 0 ? kMost / fits.max_min : 0;
  const float d = put_f16(block, fits.max_scale / kMost);
  const float dmin = put_f16(block + 2, fits.max_min / kMost);
  int sc[kSubBlocks32], m[kSubBlocks32];
  for (int j = 0; j < kSubBlocks32; ++j) {
    sc[j] = std::min(63, static_cast<int>(static_cast<u8>(nearest_int(to_scale * fits.scale[j]))));
    m[j] = std::min(63, static_cast<int>(static_cast<u8>(nearest_int(to_min * fits.min[j]))));
  }
  put_sub_scales(sc, m, block + 4);
  u8 *high = block + 16, *low = block + (five ? 48 : 16);
  for (int j = 0; j < kSubBlocks32; ++j) {
    const float step = d * static_cast<float>(sc[j]), least = dmin * static_cast<float>(m[j]);
    for (int i = 0; i < 32; ++i) {
      const int at = 32 * j + i;
      const int code = step != 0 ? clamped((x[at] + least) / step, 0, search.most) : fits.codes[at];
      u8& byte = low[j / 2 * 32 + i];
      byte = static_cast<u8>(byte | (code & 15) << (j % 2 * 4));
      if (five) high[i] = static_cast<u8>(high[i] | (code >> 4) << j);
    }
  }
}

// ---- x ≈ scale · code, code in [−n, n − 1]: Q3_K, Q6_K ----

/// Σ w x l and Σ w l², w = x².
struct Sums {
  float xl = 0, l2 = 0;
  void add(float x, int code) {
    const float w = x * x, l = static_cast<float>(code);
    xl += w * x * l;
    l2 += w * l * l;
  }
};

/// Tries 19 steps around −n/extreme. Returns the scale, 0 for a sub-block of nearly nothing, and writes
/// codes + n.
float fit_q6(const float* x, int* codes) {
  constexpr int n = 32;
  const float max = extreme(x, 16);
  std::fill(codes, codes + 16, 0);
  if (std::fabs(max) < kTiny) return 0;
  const auto round_all = [&](float inverse) {
    for (int i = 0; i < 16; ++i) codes[i] = clamped(inverse * x[i], -n, n - 1) + n;
  };
  const auto sums_of = [&](float inverse) {
    Sums s;
    for (int i = 0; i < 16; ++i) s.add(x[i], clamped(inverse * x[i], -n, n - 1));
    return s;
  };
  const float start = -static_cast<float>(n) / max;
  const Sums first = sums_of(start);
  round_all(start);
  float scale = first.l2 != 0 ? first.xl / first.l2 : 0, best = scale * first.xl;
  for (int t = -9; t <= 9; ++t) {
    if (t == 0) continue;
    const float inverse = -(static_cast<float>(n) + 0.1f * static_cast<float>(t)) / max;
    const Sums s = sums_of(inverse);
    if (s.l2 > 0 && s.xl * s.xl > best * s.l2) {
      round_all(inverse);
      scale = s.xl / s.l2;
      best = scale * s.xl;
    }
  }
  return scale;
}

/// Moves one code at a time to where the error falls, at most five rounds. Returns the scale, writes codes +
/// n.
float fit_q3(const float* x, int* codes) {
  constexpr int n = 4;
  const float max = extreme(x, 16);
  std::fill(codes, codes + 16, 0);
  if (std::fabs(max) < kTiny) return 0;
  const float inverse = -static_cast<float>(n) / max;
  Sums sums;
  for (int i = 0; i < 16; ++i) {
    codes[i] = clamped(inverse * x[i], -n, n - 1);
    sums.add(x[i], codes[i]);
  }
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (int i = 0; i < 16; ++i) {
      const float w = x[i] * x[i], l = static_cast<float>(codes[i]);
      Sums moved{sums.xl - w * x[i] * l, sums.l2 - w * l * l};  // without element i
      if (!(moved.xl > 0)) continue;
      const int code = clamped(x[i] * moved.l2 / moved.xl, -n, n - 1);
      if (code == codes[i]) continue;
      moved.add(x[i], code);
      if (moved.l2 > 0 && moved.xl * moved.xl * sums.l2 > sums.xl * sums.xl * moved.l2) {
        codes[i] = code;
        sums = moved;
        changed = true;
      }
    }
    if (!changed) break;
  }
  for (int i = 0; i < 16; ++i) codes[i] += n;
  return sums.l2 > 0 ? sums.xl / sums.l2 : 0;
}

/// The scales of 16 sub-blocks, and the one of largest magnitude.
struct ScaleFits {
  float scale[kSubBlocks16];
  float largest;
  int codes[kBlock];  // as in RangeFits
};
template <class Fit>
ScaleFits fit_scales(const float* x, const Fit& fit) {
  ScaleFits fits;
  for (int j = 0; j < kSubBlocks16; ++j) fits.scale[j] = fit(x + 16 * j, fits.codes + 16 * j);
  fits.largest = extreme(fits.scale, kSubBlocks16);
  return fits;
}

void encode_q3_k(const float* x, u8* block) {
  const ScaleFits fits = fit_scales(x, fit_q3);
  const float inverse = fits.largest != 0 ? -32.0f / fits.largest : 0;
  const float d = put_f16(block + 108, fits.largest != 0 ? 1 / inverse : 0);
  u8 *high = block, *low = block + 32, *scales = block + 96;
  for (int j = 0; j < kSubBlocks16; ++j) {
    // A block of nothing keeps scale codes 0, which stand for −32; d is 0 then.
    const int sc = fits.largest != 0 ? clamped(inverse * fits.scale[j], -32, 31) + 32 : 0;
    scales[j % 8] = static_cast<u8>(scales[j % 8] | (sc & 15) << (j / 8 * 4));
    scales[8 + j % 4] = static_cast<u8>(scales[8 + j % 4] | (sc >> 4) << (j / 4 * 2));
    const float step = d * static_cast<float>(sc - 32);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? clamped(x[i] / step, -4, 3) + 4 : fits.codes[i];
      u8& byte = low[i / 128 * 32 + i % 32];
      byte = static_cast<u8>(byte | (code & 3) << (i % 128 / 32 * 2));
      high[i % 32] = static_cast<u8>(high[i % 32] | (code >> 2) << (i / 32));
    }
  }
}

void encode_q6_k(const float* x, u8* block) {
  const ScaleFits fits = fit_scales(x, fit_q6);
  if (std::fabs(fits.largest) < kTiny) return;  // all bytes zero
  const float inverse = -128.0f / fits.largest;
  const float d = put_f16(block + 208, 1 / inverse);
  u8 *low = block, *high = block + 128;
  for (int j = 0; j < kSubBlocks16; ++j) {
    const auto sc = static_cast<i8>(std::min(127, nearest_int(inverse * fits.scale[j])));
    block[192 + j] = static_cast<u8>(sc);
    const float step = d * static_cast<float>(sc);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? clamped(x[i] / step, -32, 31) + 32 : fits.codes[i];
      const int half = i / 128, r = i % 128 / 32, l = i % 32;
      u8 &lower = low[half * 64 + r % 2 * 32 + l], &upper = high[half * 32 + l];
      lower = static_cast<u8>(lower | (code & 15) << (r / 2 * 4));
      upper = static_cast<u8>(upper | (code >> 4) << (r * 2));
    }
  }
}

}  // namespace

void encode_ggml_k_block(GgmlType type, const float* x, u8* block) {
  std::memset(block, 0, static_cast<std::size_t>(ggml_type_info(type).bytes));
  switch (type) {
    case GgmlType::q2_k:
      return encode_q2_k(x, block);
    case GgmlType::q3_k:
      return encode_q3_k(x, block);
    case GgmlType::q4_k:
      return encode_q45_k(x, false, block);
    case GgmlType::q5_k:
      return encode_q45_k(x, true, block);
    case GgmlType::q6_k:
      return encode_q6_k(x, block);
    default:
      throw bug("{} has no block encoder", ggml_type_info(type).name);
  }
}

}  // namespace pare
