#include "weights/int_grid.h"

#include <algorithm>
#include <cmath>

#include "tensor/half.h"

namespace pare {
namespace {

/// The largest storable value ≤ scale > 0: then the range is never shorter than 2^b − 1 steps and its ends
/// get the first and the last code, which makes quantising idempotent.
float stored_below(double scale, DType dtype) {
  float near = static_cast<float>(scale);
  if (static_cast<double>(near) > scale) near = std::nextafterf(near, 0.0f);
  const float rounded = stored_scale(near, dtype);
  if (rounded <= near) return rounded;
  if (dtype == DType::f16) return f16_to_f32(static_cast<u16>(f32_to_f16(near) - 1));
  return bf16_to_f32(static_cast<u16>(f32_to_bf16(near) - 1));
}

}  // namespace

float stored_scale(float scale, DType dtype) {
  if (dtype == DType::f16) return f16_to_f32(f32_to_f16(scale));
  if (dtype == DType::bf16) return bf16_to_f32(f32_to_bf16(scale));
  return scale;
}

int IntGrid::code(float w) const {
  const float steps = std::round(w / scale);
  if (std::isnan(steps)) return zero;  // 0/0: the scale vanished in its dtype, see fits_f16()
  return static_cast<int>(std::clamp(steps, static_cast<float>(-zero), static_cast<float>(top - zero))) +
         zero;
}

IntGrid fit_int_grid(std::span<const float> group, int bits, bool symmetric, DType scale_dtype) {
  constexpr float kSmallest = 0x1p-126f;
  const int top = (1 << bits) - 1, half = 1 << (bits - 1);
  const IntGrid zeros{1, symmetric ? half : 0, top};
  float low = 0, high = 0;
  for (const float w : group) {
    low = std::min(low, w);
    high = std::max(high, w);
  }
  if (symmetric) {
    // On equal magnitudes the negative one wins, whatever the order.
    const float largest = -low >= high ? low : high;
    const float scale = largest / static_cast<float>(-half);
    if (std::abs(scale) < kSmallest) return zeros;
    return {stored_scale(scale, scale_dtype), half, top};
  }
  const double step = (static_cast<double>(high) - static_cast<double>(low)) / top;
  if (step < static_cast<double>(kSmallest)) return zeros;
  const float scale = stored_below(step, scale_dtype);
  if (scale == 0 || std::isinf(scale)) return {scale, 0, top};
  const float zero = std::clamp(std::round(-low / scale), 0.0f, static_cast<float>(top));
  return {scale, static_cast<int>(zero), top};
}

bool fits_f16(const IntGrid& grid) {
  const float magnitude = std::abs(grid.scale);
  return magnitude >= 0x1p-14f && magnitude <= 65504.0f;
}

}  // namespace pare
