#include "weights/float_group_encode.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/threads.h"
#include "tensor/half.h"
#include "weights/int_grid.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kRowGrain = 8;
constexpr float kLargestE4m3 = 448, kLargestE2m1 = 6;
constexpr u8 kSmallScale = 0x20;  // 0.125 in e4m3

/// x as f32, bf16 or f16 holds it.
float rounded(float x, DType dtype) { return stored_scale(x, dtype); }

/// The step of a dtype above 1.
float epsilon(DType dtype) {
  return dtype == DType::bf16 ? 0x1p-7f : dtype == DType::f16 ? 0x1p-10f : 0x1p-23f;
}

/// Sign · exponent of this bias · mantissa. REQUIRES: a = |x| is at most the largest value.
u8 minifloat_code(float x, float a, int mantissa, int bias, int sign_bit) {
  constexpr int kBias = 127, kFraction = 23;
  constexpr float kToWhole = 0x1.8p23f;  // adding it leaves no bits behind the point: halves go to even
  const int lowest = 1 - bias;           // the exponent of subnormals
  const int e = std::max(static_cast<int>(std::bit_cast<u32>(a) >> kFraction) - kBias, lowest);
  const float per_step = std::bit_cast<float>(static_cast<u32>(kBias + mantissa - e) << kFraction);
  const int steps = static_cast<int>((a * per_step + kToWhole) - kToWhole);
  const int code = ((e - lowest) << mantissa) + steps;  // one step too many carries into the exponent
  return static_cast<u8>(code | (std::signbit(x) ? sign_bit : 0));
}

float largest_of(const float* w, i64 rows, i64 cols, i64 stride) {
  float largest = 0;
  for (i64 r = 0; r < rows; ++r)
    for (i64 c = 0; c < cols; ++c) largest = std::max(largest, std::abs(w[r * stride + c]));
  return largest;
}

/// The exponent of a power of two that `largest` is divided by, plus 127.
u8 power_of_two(float largest, int top_exponent) {
  if (largest == 0) return 0;
  int exponent;
  const float mantissa = 2 * std::frexp(largest, &exponent);  // in [1, 2)
  const int e = exponent - 1 - top_exponent + (mantissa >= 1.75f);
  return static_cast<u8>(std::clamp(e + 127, 0, 254));
}

struct Encoder {
  const float* w;
  i64 N, K;
  FloatGroupOptions o;
  float global;
  FloatGroupWeight::Parts parts;

  i64 high() const { return o.block_rows ? o.block_rows : N; }
  i64 wide() const { return o.block_cols ? o.block_cols : K; }

  /// Chooses the scale of a block and stores it; returns what weights are divided by.
  float scale(i64 block_row, i64 block_col, float largest) {
    const i64 at = block_row * parts.scales.dim(1) + block_col;
    const EncodedScale chosen = encode_scale(o, global, largest);
    if (o.scale == BlockScale::real)
      parts.scales.f32()[at] = chosen.value;
    else
      parts.scales.data<u8>()[at] = chosen.code;
    return chosen.divisor;
  }

  void block(i64 block_row, i64 block_col) {
    const i64 n0 = block_row * high(), n1 = std::min(N, n0 + high());
    const i64 k0 = block_col * wide(), k1 = std::min(K, k0 + wide());
    const float by = scale(block_row, block_col, largest_of(w + n0 * K + k0, n1 - n0, k1 - k0, K));
    for (i64 n = n0; n < n1; ++n)
      for (i64 k = k0; k < k1; ++k) {
        const u8 code = encode_value(o, w[n * K + k], by);
        if (o.element == MiniFloat::e2m1) {
          u8& byte = parts.codes.data<u8>()[n * (K / 2) + k / 2];
          byte = static_cast<u8>(byte | code << (k % 2 * 4));
        } else {
          parts.codes.data<u8>()[n * K + k] = code;
        }
      }
  }
};

}  // namespace

u8 e4m3_code(float x) {
  if (std::isnan(x)) return std::signbit(x) ? 0xff : 0x7f;
  return minifloat_code(x, std::min(std::abs(x), kLargestE4m3), 3, 7, 0x80);
}
u8 e2m1_code(float x) { return minifloat_code(x, std::min(std::abs(x), kLargestE2m1), 1, 1, 8); }

float largest_magnitude(const Tensor& w) {
  const Tensor full = w.to_f32();
  return largest_of(full.f32(), 1, full.count(), full.count());
}

EncodedScale encode_scale(const FloatGroupOptions& o, float global, float largest) {
  if (o.scale == BlockScale::real) {
    const float exact = rounded(largest / kLargestE4m3, o.values);
    const float value = exact == 0 ? epsilon(o.values) : exact;
    return {value, 0, value};
  }
  if (o.scale == BlockScale::e8m0) {
    const u8 code = power_of_two(largest, o.element == MiniFloat::e4m3 ? 8 : 2);
    return {0, code, e8m0_value(code)};
  }
  u8 code = e4m3_code(global * rounded(largest / kLargestE2m1, o.values));
  if (code == 0) code = kSmallScale;
  return {0, code, e4m3_value(code) / global};
}

u8 encode_value(const FloatGroupOptions& o, float x, float divisor) {
  if (o.element == MiniFloat::e2m1) return e2m1_code(x / divisor);
  return e4m3_code(o.scale == BlockScale::real ? rounded(x / divisor, o.values) : x / divisor);
}

FloatGroupOptions float_scheme_options(FloatScheme scheme, DType values) {
  FloatGroupOptions o{MiniFloat::e4m3, BlockScale::real, 1, 0, values};
  if (scheme == FloatScheme::fp8_tensor) o.block_rows = 0;
  if (scheme == FloatScheme::fp8_block) o.block_rows = o.block_cols = 128;
  if (scheme == FloatScheme::mxfp8 || scheme == FloatScheme::mxfp4) {
    o.scale = BlockScale::e8m0;
    o.block_cols = 32;
  }
  if (scheme == FloatScheme::nvfp4) {
    o.scale = BlockScale::e4m3;
    o.block_cols = 16;
  }
  if (scheme == FloatScheme::mxfp4 || scheme == FloatScheme::nvfp4) o.element = MiniFloat::e2m1;
  return o;
}

bool fits_float_scheme(FloatScheme scheme, i64 K) {
  const FloatGroupOptions o = float_scheme_options(scheme, DType::f32);
  return o.scale == BlockScale::real || K % o.block_cols == 0;
}

float nvfp4_global(float largest, DType values) {
  // A number over a tensor is its reciprocal times the number in the reference, each rounded.
  const float global = rounded(kLargestE4m3 * kLargestE2m1 * rounded(1 / largest, values), values);
  return std::isfinite(global) ? global : 1;
}

Weight quantize_float_group(const Tensor& w, FloatScheme scheme, float global) {
  const Tensor full = w.dtype() == DType::f32 ? w : w.to_f32();
  const auto [rows, cols] = dims<2>("quantize_float_group", full);
  expect_finite_weight("float_group", full);
  if (!fits_float_scheme(scheme, cols))
    throw user_error("float_group: {} inputs, expected a multiple of {}",
                     cols,
                     float_scheme_options(scheme, w.dtype()).block_cols);
  Encoder e{full.f32(), rows, cols, float_scheme_options(scheme, w.dtype()), global, {}};
  const i64 R = rows ? (rows + e.high() - 1) / e.high() : 0, C = cols ? (cols + e.wide() - 1) / e.wide() : 0;
  const bool real = e.o.scale == BlockScale::real;
  e.parts.codes = Tensor::zeros({rows, e.o.element == MiniFloat::e2m1 ? cols / 2 : cols}, DType::u8);
  e.parts.scales = Tensor::zeros({R, C}, real ? DType::f32 : DType::u8);
  if (e.o.scale == BlockScale::e4m3) {
    if (e.global == 0) e.global = nvfp4_global(largest_magnitude(full), w.dtype());
    e.parts.global = Tensor::of({1}, std::vector<float>{e.global});
  }
  parallel_rows(R, e.o.block_rows == 1 ? kRowGrain : 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r)
      for (i64 c = 0; c < C; ++c) e.block(r, c);
  });
  if (real && w.dtype() != DType::f32) e.parts.scales = e.parts.scales.to(w.dtype());
  return Weight(std::make_shared<FloatGroupWeight>("float_group", rows, cols, e.o, std::move(e.parts)));
}

}  // namespace pare
