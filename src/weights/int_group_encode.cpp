#include "weights/int_group_encode.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "weights/int_grid.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kRowGrain = 8;

/// One group's rounding; numbers are those of `dtype` after each step.
struct Grid {
  DType dtype;
  float half, top;  // codes are −half … top
  float scale = 1, zero = 0;

  float v(float x) const { return stored_scale(x, dtype); }

  Grid(DType type, int bits) : dtype(type), half(std::ldexp(1.0f, bits - 1)), top(half - 1) {}

  void fit(const float* w, i64 count, bool symmetric) {
    float low = 0, high = 0;
    for (i64 i = 0; i < count; ++i) {
      low = std::min(low, w[i]);
      high = std::max(high, w[i]);
    }
    scale = symmetric ? v(std::max(-low, high) / ((2 * half - 1) / 2)) : v(v(high - low) / (2 * half - 1));
    if (scale == 0) scale = dtype == DType::bf16 ? 0x1p-7f : dtype == DType::f16 ? 0x1p-10f : 0x1p-23f;
    if (!symmetric) zero = clamped(v(-half - v(low / scale)));
  }
  float clamped(float x) const { return std::nearbyint(std::clamp(x, -half, top)); }
  u8 code(float w) const { return static_cast<u8>(clamped(v(v(w / scale) + zero)) + half); }
};

}  // namespace

Weight quantize_int_group_in_dtype(const Tensor& w, const IntGroupOptions& options) {
  const Tensor full = w.dtype() == DType::f32 ? w : w.to_f32();
  const auto [rows, cols] = dims<2>("quantize_int_group_in_dtype", full);
  const i64 N = rows, K = cols;
  expect_finite_weight("int_group", full);
  if (options.bits < 2 || options.bits > 8)
    throw user_error("int_group: bits is {}, expected 2 to 8", options.bits);
  const i64 group = options.group <= 0 ? std::max<i64>(K, 1) : options.group, G = (K + group - 1) / group;
  Tensor codes = Tensor::empty({N, K}, DType::u8), zeros = Tensor::empty({N, G}, DType::u8);
  Tensor scales = Tensor::empty({N, G});
  parallel_rows(N, kRowGrain, [&](i64 begin, i64 end) {
    for (i64 i = begin * G; i < end * G; ++i) {
      const i64 n = i / G, k0 = i % G * group, k1 = std::min(K, k0 + group);
      const float* row = full.f32() + n * K;
      Grid grid(w.dtype(), options.bits);
      grid.fit(row + k0, k1 - k0, options.symmetric);
      scales.f32()[i] = grid.scale;
      zeros.data<u8>()[i] = static_cast<u8>(grid.zero + grid.half);
      for (i64 k = k0; k < k1; ++k) codes.data<u8>()[n * K + k] = grid.code(row[k]);
    }
  });
  IntGroupOptions o = options;
  o.values = w.dtype();
  return int_group_weight("int_group",
                          codes,
                          w.dtype() == DType::f32 ? scales : scales.to(w.dtype()),
                          options.symmetric ? Tensor() : zeros,
                          o);
}

}  // namespace pare
