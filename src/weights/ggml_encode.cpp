#include "weights/ggml_encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/threads.h"
#include "tensor/half.h"
#include "weights/ggml_block.h"
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

/// Σ w q x and Σ w q², w = x², of the codes nearest to x · id.
struct Fit {
  float qx = 0, q2 = 0;
};
Fit fit_iq4_nl(const float* x, float id) {
  Fit fit;
  for (int i = 0; i < kBlock; ++i) {
    const float q = kIq4NlValues[nearest_iq4_nl(id * x[i])], w = x[i] * x[i];
    fit.qx += w * q * x[i];
    fit.q2 += w * q * q;
  }
  return fit;
}

void encode_iq4_nl(const float* x, u8* block) {
  constexpr float kTiny = 1e-15f;
  constexpr int kTries = 7;
  const float max = extreme(x, kBlock);
  float d = 0;
  if (std::fabs(max) >= kTiny) {
    const Fit first = fit_iq4_nl(x, 1 / (-max / kIq4NlValues[0]));
    d = first.qx / first.q2;
    float best = d * first.qx;
    for (int t = -kTries; t <= kTries; ++t) {
      const Fit fit = fit_iq4_nl(x, static_cast<float>(t + kIq4NlValues[0]) / max);
      if (fit.q2 > 0 && fit.qx * fit.qx > best * fit.q2) {
        d = fit.qx / fit.q2;
        best = d * fit.qx;
      }
    }
  }
  put_f16(block, d);
  const float id = inverse(d);
  int codes[kBlock];
  for (int i = 0; i < kBlock; ++i) codes[i] = nearest_iq4_nl(id * x[i]);
  put_nibbles(codes, block + 2);
}

void encode_block(GgmlType type, const float* x, u8* block) {
  int codes[kBlock];
  switch (type) {
    case GgmlType::q4_0:
      put_f16(block, round_symmetric(x, 4, codes));
      return put_nibbles(codes, block + 2);
    case GgmlType::q5_0:
      put_f16(block, round_symmetric(x, 5, codes));
      put_fifth_bits(codes, block + 2);
      return put_nibbles(codes, block + 6);
    case GgmlType::q4_1:
    case GgmlType::q5_1: {
      const bool five = type == GgmlType::q5_1;
      const Range range = round_range(x, five ? 5 : 4, codes);
      put_f16(block, range.d);
      put_f16(block + 2, range.min);
      if (five) put_fifth_bits(codes, block + 4);
      return put_nibbles(codes, block + (five ? 8 : 4));
    }
    case GgmlType::q8_0:
      return encode_q8_0(x, block);
    case GgmlType::iq4_nl:
      return encode_iq4_nl(x, block);
    default:
      return encode_ggml_k_block(type, x, block);
  }
}

}  // namespace

void encode_ggml(GgmlType type, const float* x, i64 count, u8* blocks) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  if (type == GgmlType::f32) {
    std::memcpy(blocks, x, static_cast<std::size_t>(count) * sizeof(float));
  } else if (info.dense) {
    for (i64 i = 0; i < count; ++i) {
      const u16 bits = type == GgmlType::f16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
      std::memcpy(blocks + 2 * i, &bits, 2);
    }
  } else {
    for (i64 b = 0; b < count / info.values; ++b)
      encode_block(type, x + b * info.values, blocks + b * info.bytes);
  }
}

Weight quantize_ggml_block(const Tensor& w, GgmlType type) {
  const auto [N, K] = dims<2>("quantize_ggml_block", w);
  const i64 rows = N, cols = K, row_bytes = ggml_row_bytes(type, K);
  expect_finite_weight("ggml_block", w);
  Tensor blocks = Tensor::empty({N, row_bytes}, DType::u8);
  // A row that is no whole number of blocks is refused below, before anything reads the blocks.
  if (cols % ggml_type_info(type).values == 0) {
    const float* from = w.f32();
    u8* to = blocks.data<u8>();
    parallel_rows(rows, 1, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n) encode_ggml(type, from + n * cols, cols, to + n * row_bytes);
    });
  }
  return Weight(std::make_shared<GgmlBlockWeight>("ggml_block", type, rows, cols, std::move(blocks)));
}

}  // namespace pare
