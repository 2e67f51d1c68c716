#include "compress/scale_search.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "compress/gptq.h"

namespace pare {
namespace {

constexpr float kLargestScale = 1e4f;  // and its inverse the smallest

/// Divides by √(max · min), then keeps within bounds.
void normalise(Tensor& s) {
  const auto [low, high] = std::minmax_element(s.f32(), s.f32() + s.count());
  const float middle = std::sqrt(*low * *high);
  for (i64 k = 0; k < s.count(); ++k)
    s.f32()[k] = std::clamp(s.f32()[k] / middle, 1 / kLargestScale, kLargestScale);
}

/// Magnitudes with the smallest positive one where there is none; all 1 when all are 0.
Tensor positive(const Tensor& a) {
  float least = 0;
  for (i64 k = 0; k < a.count(); ++k)
    if (const float v = a.f32()[k]; v > 0 && (least == 0 || v < least)) least = v;
  Tensor out = a.clone();
  for (i64 k = 0; k < a.count(); ++k)
    if (!(out.f32()[k] > 0)) out.f32()[k] = least > 0 ? least : 1.0f;
  return out;
}

double rounding_loss(const std::vector<Tensor>& weights,
                     const Tensor& h,
                     const Tensor& s,
                     const IntGroupOptions& format) {
  const Tensor scaled_h = scaled_gram(h, s);
  double loss = 0;
  for (const Tensor& w : weights) {
    Tensor scaled = w.clone();
    scale_columns(scaled, s);
    loss += gram_loss(scaled, quantize_int_group(scaled, format).decode_all(), scaled_h);
  }
  return loss;
}

}  // namespace

ScaleSearch search_scales(const std::vector<Tensor>& weights,
                          const Tensor& h,
                          const Tensor& magnitudes,
                          const IntGroupOptions& format,
                          i64 steps) {
  const i64 K = h.dim(0);
  expect("search_scales", magnitudes, {K});
  if (steps < 1) throw bug("search_scales: {} steps", steps);
  const Tensor a = positive(magnitudes);
  ScaleSearch best;
  for (i64 i = 0; i < steps; ++i) {
    const double ratio = static_cast<double>(i) / static_cast<double>(steps);
    Tensor s = Tensor::empty({K});
    for (i64 k = 0; k < K; ++k) s.f32()[k] = std::pow(a.f32()[k], static_cast<float>(ratio));
    normalise(s);
    const double loss = rounding_loss(weights, h, s, format);
    best.tried.push_back(loss);
    if (i == 0 || (std::isfinite(loss) && loss < best.loss)) best.s = s, best.ratio = ratio, best.loss = loss;
  }
  return best;
}

Tensor smoothing_scales(const std::vector<Tensor>& weights, const Tensor& max_abs, double strength) {
  const i64 K = max_abs.dim(0);
  Tensor largest = Tensor::zeros({K}), s = Tensor::empty({K});
  for (const Tensor& w : weights) {
    expect("smoothing_scales", w, {w.dim(0), K});
    for (i64 n = 0; n < w.dim(0); ++n)
      for (i64 k = 0; k < K; ++k) largest.f32()[k] = std::max(largest.f32()[k], std::abs(w.f32()[n * K + k]));
  }
  const auto alpha = static_cast<float>(strength);
  for (i64 k = 0; k < K; ++k) {
    const float x = max_abs.f32()[k], w = largest.f32()[k];
    s.f32()[k] = x > 0 && w > 0 ? std::pow(x, alpha) / std::pow(w, 1 - alpha) : 1.0f;
  }
  normalise(s);
  return s;
}

void scale_columns(Tensor& w, const Tensor& s) {
  const i64 K = w.dim(1);
  parallel_rows(w.dim(0), 16, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 k = 0; k < K; ++k) w.f32()[n * K + k] *= s.f32()[k];
  });
}

Tensor scaled_gram(const Tensor& h, const Tensor& s) {
  const i64 K = h.dim(0);
  Tensor out = Tensor::empty({K, K});
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i)
      for (i64 j = 0; j < K; ++j) out.f32()[i * K + j] = h.f32()[i * K + j] / (s.f32()[i] * s.f32()[j]);
  });
  return out;
}

}  // namespace pare
