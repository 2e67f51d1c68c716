#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/half.h"
#include "weights/ggml_encode.h"
#include "weights/ggml_scale_search.h"

namespace pare {
namespace {

constexpr int kBlock = 256;
constexpr int kSubBlocks16 = kBlock / 16, kSubBlocks32 = kBlock / 32;
constexpr float kTiny = 1e-15f;  // a block of smaller scales is zero

/// Writes the f16 nearest to `value`; returns what it reads as.
float put_f16(u8* at, float value) {
  const u16 bits = f32_to_f16(value);
  std::memcpy(at, &bits, 2);
  return f16_to_f32(bits);
}

int clamped(float x, int low, int high) { return std::clamp(nearest_int(x), low, high); }

float sum_of(const float* w, int n) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += w[i];
  return sum;
}

// ---- x ≈ scale · code + min, min ≤ 0: Q2_K, Q4_K, Q5_K ----

/// Scales and minima of a block's sub-blocks, and the codes of its values.
struct RangeFits {
  float scale[kSubBlocks16], min[kSubBlocks16];  // min ≥ 0: what is subtracted
  float weight[kSubBlocks16];                    // what errors in a sub-block count together
  int codes[kBlock];  // where a step is 0 any code will do, and the reference keeps those of its search
};
/// `weights(j, x, w)` gives those of sub-block j.
template <class Weights>
RangeFits fit_ranges(const RangeSearch& s, const float* x, const Weights& weights) {
  RangeFits fits;
  for (int j = 0; j < kBlock / s.n; ++j) {
    float w[32];
    weights(j, x + j * s.n, w);
    const ScaleMin fit = fit_range(s, x + j * s.n, w, fits.codes + j * s.n);
    fits.scale[j] = fit.scale;
    fits.min[j] = -fit.min;
    fits.weight[j] = sum_of(w, s.n);
  }
  return fits;
}
RangeFits fit_ranges(const RangeSearch& s, const float* x, const float* importance, float sigma2) {
  return fit_ranges(s, x, [&](int j, const float* from, float* w) {
    importance_weights(from, importance + j * s.n, sigma2, s.n, w);
  });
}

/// The scale of a block's scales or minima, and their codes.
struct Rounded {
  float d = 0;
  int codes[kSubBlocks16];
};
/// In steps of the largest; `to_code` keeps what does not fit as the reference does.
template <class ToCode>
Rounded round_to_largest(const float* x, int n, int most, const ToCode& to_code) {
  const float largest = std::max(0.0f, *std::max_element(x, x + n)), levels = static_cast<float>(most);
  const float inverse = largest > 0 ? levels / largest : 0;
  Rounded out{largest / levels, {}};
  for (int j = 0; j < n; ++j) out.codes[j] = to_code(nearest_int(inverse * x[j]));
  return out;
}
Rounded round_important(const float* x, const float* w, int n, int most) {
  Rounded out;
  out.d = fit_positive(n, most, x, w, out.codes);
  return out;
}

void write_q2_k(
    const float* x, const RangeFits& fits, const Rounded& scales, const Rounded& mins, u8* block) {
  const float d = put_f16(block + 80, scales.d), dmin = put_f16(block + 82, mins.d);
  for (int j = 0; j < kSubBlocks16; ++j) {
    const int sc = scales.codes[j], m = mins.codes[j];
    block[j] = static_cast<u8>(sc | m << 4);
    const float step = d * static_cast<float>(sc), low = dmin * static_cast<float>(m);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? clamped((x[i] + low) / step, 0, 3) : fits.codes[i];
      u8& byte = block[16 + i / 128 * 32 + i % 32];
      byte = static_cast<u8>(byte | code << (i % 128 / 32 * 2));
    }
  }
}

void encode_q2_k(const float* x, const float* importance, u8* block) {
  static constexpr int kMost = 15, n = kSubBlocks16;
  if (importance) {
    const float sigma2 = sum_of_squares(x, kBlock) / kBlock;
    const RangeFits fits = fit_ranges(fine_search(16, 3), x, importance, sigma2);
    return write_q2_k(x,
                      fits,
                      round_important(fits.scale, fits.weight, n, kMost),
                      round_important(fits.min, fits.weight, n, kMost),
                      block);
  }
  const auto magnitudes = [](int, const float* from, float* w) {
    for (int i = 0; i < 16; ++i) w[i] = std::fabs(from[i]);
  };
  const RangeFits fits = fit_ranges({16, 3, -0.5f, 0.1f, 15, true}, x, magnitudes);
  const auto to_code = [](int code) { return code & kMost; };
  write_q2_k(x,
             fits,
             round_to_largest(fits.scale, n, kMost, to_code),
             round_to_largest(fits.min, n, kMost, to_code),
             block);
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
void write_q45_k(
    const float* x, bool five, const RangeFits& fits, const Rounded& scales, const Rounded& mins, u8* block) {
  const float d = put_f16(block, scales.d), dmin = put_f16(block + 2, mins.d);
  put_sub_scales(scales.codes, mins.codes, block + 4);
  u8 *high = block + 16, *low = block + (five ? 48 : 16);
  for (int j = 0; j < kSubBlocks32; ++j) {
    const float step = d * static_cast<float>(scales.codes[j]);
    const float least = dmin * static_cast<float>(mins.codes[j]);
    for (int i = 0; i < 32; ++i) {
      const int at = 32 * j + i;
      const int code = step != 0 ? clamped((x[at] + least) / step, 0, five ? 31 : 15) : fits.codes[at];
      u8& byte = low[j / 2 * 32 + i];
      byte = static_cast<u8>(byte | (code & 15) << (j % 2 * 4));
      if (five) high[i] = static_cast<u8>(high[i] | (code >> 4) << j);
    }
  }
}

void encode_q45_k(const float* x, const float* importance, bool five, u8* block) {
  static constexpr int kMost = 63, n = kSubBlocks32;
  if (importance) {
    const float sigma2 = 2 * sum_of_squares(x, kBlock) / kBlock;
    const RangeFits fits = fit_ranges(fine_search(32, five ? 31 : 15), x, importance, sigma2);
    return write_q45_k(x,
                       five,
                       fits,
                       round_important(fits.scale, fits.weight, n, kMost),
                       round_important(fits.min, fits.weight, n, kMost),
                       block);
  }
  const auto weights = [](int, const float* from, float* w) {
    const float rms = std::sqrt(sum_of_squares(from, 32) / 32);
    for (int i = 0; i < 32; ++i) w[i] = rms + std::fabs(from[i]);
  };
  const RangeSearch search =
      five ? RangeSearch{32, 31, -0.5f, 0.1f, 15, false} : RangeSearch{32, 15, -1.0f, 0.1f, 20, false};
  const RangeFits fits = fit_ranges(search, x, weights);
  const auto to_code = [](int code) { return std::min(kMost, static_cast<int>(static_cast<u8>(code))); };
  write_q45_k(x,
              five,
              fits,
              round_to_largest(fits.scale, n, kMost, to_code),
              round_to_largest(fits.min, n, kMost, to_code),
              block);
}

// ---- x ≈ scale · code, code in [−n, n − 1]: Q3_K, Q6_K ----

/// The scales of 16 sub-blocks, the one of largest magnitude, and the codes of the values.
struct ScaleFits {
  float scale[kSubBlocks16];
  float largest;
  int codes[kBlock];  // as in RangeFits
};
/// `fit(j, x, codes)` returns the scale of sub-block j.
template <class Fit>
ScaleFits fit_scales(const float* x, const Fit& fit) {
  ScaleFits fits;
  for (int j = 0; j < kSubBlocks16; ++j) fits.scale[j] = fit(j, x + 16 * j, fits.codes + 16 * j);
  fits.largest = extreme(fits.scale, kSubBlocks16);
  return fits;
}

/// `scales.codes` are 0 … 63 and stand for −32 … 31.
void write_q3_k(const float* x, const ScaleFits& fits, const Rounded& scales, u8* block) {
  const float d = put_f16(block + 108, scales.d);
  u8 *high = block, *low = block + 32, *packed = block + 96;
  for (int j = 0; j < kSubBlocks16; ++j) {
    const int sc = scales.codes[j];
    packed[j % 8] = static_cast<u8>(packed[j % 8] | (sc & 15) << (j / 8 * 4));
    packed[8 + j % 4] = static_cast<u8>(packed[8 + j % 4] | (sc >> 4) << (j / 4 * 2));
    const float step = d * static_cast<float>(sc - 32);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? clamped(x[i] / step, -4, 3) + 4 : fits.codes[i];
      u8& byte = low[i / 128 * 32 + i % 32];
      byte = static_cast<u8>(byte | (code & 3) << (i % 128 / 32 * 2));
      high[i % 32] = static_cast<u8>(high[i % 32] | (code >> 2) << (i / 32));
    }
  }
}

void encode_q3_k(const float* x, const float* importance, u8* block) {
  if (importance) {
    const float sigma2 = 2 * sum_of_squares(x, kBlock) / kBlock;
    float weight[kSubBlocks16];
    const ScaleFits fits = fit_scales(x, [&](int j, const float* from, int* codes) {
      float w[16];
      importance_weights(from, importance + 16 * j, sigma2, 16, w);
      weight[j] = sum_of(w, 16);
      return fit_important(16, 4, from, w, codes);
    });
    Rounded scales;
    scales.d = fit_important(kSubBlocks16, 32, fits.scale, weight, scales.codes);
    return write_q3_k(x, fits, scales, block);
  }
  const ScaleFits fits =
      fit_scales(x, [](int, const float* from, int* codes) { return fit_by_moves(16, 4, from, codes); });
  // A block of nothing keeps scale codes 0, which stand for −32; d is 0 then.
  Rounded scales{0, {}};
  if (fits.largest != 0) {
    const float inverse = -32.0f / fits.largest;
    scales.d = 1 / inverse;
    for (int j = 0; j < kSubBlocks16; ++j) scales.codes[j] = clamped(inverse * fits.scale[j], -32, 31) + 32;
  }
  write_q3_k(x, fits, scales, block);
}

void encode_q6_k(const float* x, const float* importance, u8* block) {
  const ScaleFits fits = fit_scales(x, [&](int j, const float* from, int* codes) {
    if (importance) return fit_important(16, 32, from, importance + 16 * j, codes);
    float w[16];
    square_weights(from, 16, w);
    return fit_symmetric(16, 32, from, w, codes);
  });
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

void encode_ggml_k_block(GgmlType type, const float* x, const float* importance, u8* block) {
  std::memset(block, 0, static_cast<std::size_t>(ggml_type_info(type).bytes));
  switch (type) {
    case GgmlType::q2_k:
      return encode_q2_k(x, importance, block);
    case GgmlType::q3_k:
      return encode_q3_k(x, importance, block);
    case GgmlType::q4_k:
      return encode_q45_k(x, importance, false, block);
    case GgmlType::q5_k:
      return encode_q45_k(x, importance, true, block);
    case GgmlType::q6_k:
      return encode_q6_k(x, importance, block);
    default:
      throw bug("{} has no block encoder", ggml_type_info(type).name);
  }
}

}  // namespace pare
