#include "weights/ggml_encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/threads.h"
#include "tensor/half.h"
#include "weights/ggml_block.h"
#include "weights/ggml_scale_search.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr int kBlock = 32;

void put_f16(u8* at, float value) {
  const u16 bits = f32_to_f16(value);
  std::memcpy(at, &bits, 2);
}

float inverse(float d) { return d != 0 ? 1.0f / d : 0.0f; }

/// Towards zero; what does not fit an int (1/d overflows for the smallest d) becomes what x86 makes of it.
int truncated(float x) { return std::fabs(x) < 2e9f ? static_cast<int>(x) : std::numeric_limits<int>::min(); }

/// Codes of 0 … 2^bits − 1 around 2^(bits−1): the extreme value gets code 0. Returns d.
float round_symmetric(const float* x, int bits, int* codes) {
  const int middle = 1 << (bits - 1), most = 2 * middle - 1;
  const float d = extreme(x, kBlock) / static_cast<float>(-middle), id = inverse(d);
  for (int i = 0; i < kBlock; ++i)
    codes[i] = std::min(most, truncated(x[i] * id + (static_cast<float>(middle) + 0.5f)));
  return d;
}

struct Range {
  float d, min;
};
/// Codes of 0 … 2^bits − 1 from the smallest value to the largest.
Range round_range(const float* x, int bits, int* codes) {
  const int most = (1 << bits) - 1;
  const auto [min, max] = std::minmax_element(x, x + kBlock);
  const float d = (*max - *min) / static_cast<float>(most), id = inverse(d);
  for (int i = 0; i < kBlock; ++i) codes[i] = std::min(most, truncated((x[i] - *min) * id + 0.5f));
  return {d, *min};
}

void put_nibbles(const int* codes, u8* to) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<u8>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}
void put_fifth_bits(const int* codes, u8* to) {
  u32 bits = 0;
  for (int i = 0; i < kBlock; ++i) bits |= static_cast<u32>(codes[i] >> 4 & 1) << i;
  std::memcpy(to, &bits, 4);
}

void encode_q8_0(const float* x, u8* block) {
  float largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float d = largest / 127, id = inverse(d);
  put_f16(block, d);
  for (int i = 0; i < kBlock; ++i)
    block[2 + i] = static_cast<u8>(truncated(std::round(x[i] * id)));  // half away from zero
}

/// The code of the table's value nearest to x; the upper one of two equally near.
int nearest_iq4_nl(float x) {
  int below = 0, above = 15;
  while (above - below > 1) {
    const int middle = (below + above) / 2;
    (x < static_cast<float>(kIq4NlValues[middle]) ? above : below) = middle;
  }
  return x - kIq4NlValues[below] < kIq4NlValues[above] - x ? below : above;
}

/// Σ w q x and Σ w q² of the codes nearest to x · id.
struct Fit {
  float qx = 0, q2 = 0;
};
Fit fit_iq4_nl(const float* x, const float* w, float id) {
  Fit fit;
  for (int i = 0; i < kBlock; ++i) {
    const float q = kIq4NlValues[nearest_iq4_nl(id * x[i])];
    fit.qx += w[i] * q * x[i];
    fit.q2 += w[i] * q * q;
  }
  return fit;
}

/// The best of a few steps; 0 when the values are nearly nothing.
float scale_iq4_nl(const float* x, const float* w) {
  constexpr float kTiny = 1e-15f;
  constexpr int kTries = 7;
  const float max = extreme(x, kBlock);
  if (std::fabs(max) < kTiny) return 0;
  const Fit first = fit_iq4_nl(x, w, 1 / (-max / kIq4NlValues[0]));
  float d = first.q2 > 0 ? first.qx / first.q2 : 0, best = d * first.qx;
  for (int t = -kTries; t <= kTries; ++t) {
    const Fit fit = fit_iq4_nl(x, w, static_cast<float>(t + kIq4NlValues[0]) / max);
    if (fit.q2 > 0 && fit.qx * fit.qx > best * fit.q2) {
      d = fit.qx / fit.q2;
      best = d * fit.qx;
    }
  }
  return d;
}

void encode_iq4_nl(const float* x, const float* importance, u8* block) {
  float w[kBlock];
  if (importance)
    importance_weights(x, importance, 2 * sum_of_squares(x, kBlock) / kBlock, kBlock, w);
  else
    square_weights(x, kBlock, w);
  float d = scale_iq4_nl(x, w);
  if (d == 0 && importance) {  // no column that counts has a value: as in fit_important()
    square_weights(x, kBlock, w);
    d = scale_iq4_nl(x, w);
  }
  const float id = inverse(d);
  put_f16(block, d);
  int codes[kBlock];
  for (int i = 0; i < kBlock; ++i) codes[i] = nearest_iq4_nl(id * x[i]);
  put_nibbles(codes, block + 2);
}

/// Scale, minimum where the type has one, and codes.
struct Coded {
  float d, min;
  int codes[kBlock];
};
void put_coded(GgmlType type, const Coded& c, u8* block) {
  const bool five = type == GgmlType::q5_0 || type == GgmlType::q5_1;
  put_f16(block, c.d);
  block += 2;
  if (type == GgmlType::q4_1 || type == GgmlType::q5_1) {
    put_f16(block, c.min);
    block += 2;
  }
  if (five) put_fifth_bits(c.codes, block);
  put_nibbles(c.codes, block + (five ? 4 : 0));
}

/// Q4_0, Q4_1, Q5_0, Q5_1.
Coded code_plain(GgmlType type, const float* x) {
  Coded out;
  const int bits = type == GgmlType::q4_0 || type == GgmlType::q4_1 ? 4 : 5;
  if (type == GgmlType::q4_0 || type == GgmlType::q5_0) {
    out.d = round_symmetric(x, bits, out.codes);
  } else {
    const Range range = round_range(x, bits, out.codes);
    out.d = range.d, out.min = range.min;
  }
  return out;
}
Coded code_important(GgmlType type, const float* x, const float* importance, float sigma2) {
  Coded out;
  float w[kBlock];
  importance_weights(x, importance, sigma2, kBlock, w);
  const int bits = type == GgmlType::q4_0 || type == GgmlType::q4_1 ? 4 : 5;
  if (type == GgmlType::q4_0 || type == GgmlType::q5_0) {
    out.d = fit_important(kBlock, 1 << (bits - 1), x, w, out.codes);
  } else {
    const ScaleMin fit = fit_range(fine_search(kBlock, (1 << bits) - 1), x, w, out.codes);
    out.d = fit.scale, out.min = fit.min;
  }
  return out;
}

/// `importance` of the block's columns, or null; `sigma2` the mean of x² over the row.
void encode_block(GgmlType type, const float* x, const float* importance, float sigma2, u8* block) {
  switch (type) {
    case GgmlType::q4_0:
    case GgmlType::q4_1:
    case GgmlType::q5_0:
    case GgmlType::q5_1:
      return put_coded(
          type, importance ? code_important(type, x, importance, sigma2) : code_plain(type, x), block);
    case GgmlType::q8_0:
      return encode_q8_0(x, block);
    case GgmlType::iq4_nl:
      return encode_iq4_nl(x, importance, block);
    default:
      return encode_ggml_k_block(type, x, importance, block);
  }
}

}  // namespace

void encode_ggml(GgmlType type, const float* x, i64 count, u8* blocks) {
  encode_ggml(type, x, count, nullptr, blocks);
}

void encode_ggml(GgmlType type, const float* x, i64 count, const float* importance, u8* blocks) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  if (type == GgmlType::f32) {
    std::memcpy(blocks, x, static_cast<std::size_t>(count) * sizeof(float));
  } else if (info.dense) {
    for (i64 i = 0; i < count; ++i) {
      const u16 bits = type == GgmlType::f16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
      std::memcpy(blocks + 2 * i, &bits, 2);
    }
  } else {
    const float sigma2 = importance ? sum_of_squares(x, count) / static_cast<float>(count) : 0;
    for (i64 b = 0; b < count / info.values; ++b) {
      const float* of_block = importance ? importance + b * info.values : nullptr;
      const bool none =
          !of_block || std::all_of(of_block, of_block + info.values, [](float v) { return v == 0; });
      encode_block(type, x + b * info.values, none ? nullptr : of_block, sigma2, blocks + b * info.bytes);
    }
  }
}

Tensor scaled_importance(const std::string& what, const Tensor& importance, i64 K) {
  if (importance.dtype() != DType::f32 || importance.count() != K)
    throw user_error("{}: importance of {} input columns, expected {}; is it of another model?",
                     what,
                     importance.count(),
                     K);
  const float* from = importance.f32();
  float largest = 0;
  for (i64 k = 0; k < K; ++k) {
    if (!std::isfinite(from[k]) || from[k] < 0)
      throw user_error(
          "{}: importance {} of input column {}, expected a number of at least 0", what, from[k], k);
    largest = std::max(largest, from[k]);
  }
  if (largest == 0) return {};
  Tensor out = Tensor::empty({K});
  const int shift = -std::ilogb(largest) - 1;
  for (i64 k = 0; k < K; ++k) out.f32()[k] = std::ldexp(from[k], shift);
  return out;
}

Weight quantize_ggml_block(const Tensor& w, GgmlType type, const Tensor& importance) {
  const auto [N, K] = dims<2>("quantize_ggml_block", w);
  const i64 rows = N, cols = K, row_bytes = ggml_row_bytes(type, K);
  expect_finite_weight("ggml_block", w);
  const Tensor scaled = importance.defined() ? scaled_importance("ggml_block", importance, K) : Tensor();
  Tensor blocks = Tensor::empty({N, row_bytes}, DType::u8);
  // A row that is no whole number of blocks is refused below, before anything reads the blocks.
  if (cols % ggml_type_info(type).values == 0) {
    const float *from = w.f32(), *counts = scaled.defined() ? scaled.f32() : nullptr;
    u8* to = blocks.data<u8>();
    parallel_rows(rows, 1, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n) encode_ggml(type, from + n * cols, cols, counts, to + n * row_bytes);
    });
  }
  return Weight(std::make_shared<GgmlBlockWeight>("ggml_block", type, rows, cols, std::move(blocks)));
}

}  // namespace pare
