#include "compress/learned_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "compress/int_fit.h"
#include "weights/read_options.h"

namespace pare {
namespace {

float sign_of(double x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f; }

}  // namespace

LearnedRounding::LearnedRounding(Tensor w, const IntGroupOptions& format)
    : w_(std::move(w)), format_(format) {
  const auto [N, K] = dims<2>("learned rounding", w_);
  expect_finite_weight("learned rounding", w_);
  quantize_int_group(Tensor::zeros({1, K}), format);  // refuses bad options
  group_ = format.group > 0 ? format.group : K;
  groups_ = (K + group_ - 1) / group_;
  v_ = Tensor::zeros({N, K});
  c_ = Tensor::empty({N, groups_}), full_scale_ = Tensor::empty({N, groups_}),
  lowest_ = Tensor::empty({N, groups_});
  std::fill_n(c_.f32(), c_.count(), 1.0f);
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 g = 0; g < groups_; ++g) {
        const i64 k0 = g * group_, count = std::min(group_, K - k0);
        const std::span<const float> group(w_.f32() + n * K + k0, static_cast<std::size_t>(count));
        full_scale_.f32()[n * groups_ + g] =
            fit_int_grid(group, format_.bits, format_.symmetric, DType::f32).scale;
        lowest_.f32()[n * groups_ + g] = *std::min_element(group.begin(), group.end());
      }
  });
}

LearnedRounding::LearnedRounding(const Tensor& w, const IntGroupWeight& q)
    : w_(w.clone()),
      format_(q.choice()),
      group_(q.group()),
      groups_(q.groups()),
      least_(0.75f),
      most_(1.25f) {
  const auto [N, K] = dims<2>("learned rounding", w_);
  expect_finite_weight("learned rounding", w_);
  if (q.rows() != N || q.cols() != K || q.group_index().defined())
    throw bug("learned rounding: {} of {} x {} for a weight of {} x {}", q.name(), q.rows(), q.cols(), N, K);
  v_ = Tensor::zeros({N, K});
  c_ = Tensor::empty({N, groups_});
  std::fill_n(c_.f32(), c_.count(), 1.0f);
  full_scale_ = q.scales_f32(), zeros_ = q.unpacked_zeros();
  const Tensor codes = q.unpacked_codes();
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    constexpr float kReach = 0.49f;  // of a step: less than ½, so that rounding comes back
    for (i64 i = begin * K; i < end * K; ++i) {
      const i64 at = i / K * groups_ + i % K / group_;
      const float scale = full_scale_.f32()[at], zero = zeros_.data<u8>()[at];
      const float steps = static_cast<float>(codes.data<u8>()[i]) - zero;
      if (scale != 0) w_.f32()[i] = scale * std::clamp(w_.f32()[i] / scale, steps - kReach, steps + kReach);
    }
  });
}

LearnedRounding::Grid LearnedRounding::grid(i64 n, i64 g, DType scale_dtype) const {
  const i64 at = n * groups_ + g;
  if (zeros_.defined()) {
    const float zero = zeros_.data<u8>()[at], top = static_cast<float>((1 << format_.bits) - 1);
    return {stored_scale(c_.f32()[at] * full_scale_.f32()[at], scale_dtype), zero, -zero, top - zero};
  }
  const IntGrid full{full_scale_.f32()[at], 1 << (format_.bits - 1), (1 << format_.bits) - 1};
  const IntGrid shrunk = shrunk_grid(full, c_.f32()[at], lowest_.f32()[at], format_.symmetric, scale_dtype);
  const auto zero = static_cast<float>(shrunk.zero);
  return {shrunk.scale, zero, -zero, static_cast<float>(shrunk.top) - zero};
}

void LearnedRounding::fake(Tensor& out) const {
  const i64 N = w_.dim(0), K = w_.dim(1);
  expect("learned rounding", out, {N, K});
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 g = 0; g < groups_; ++g) {
        const Grid q = grid(n, g, DType::f32);
        const float inverse = 1.0f / q.scale;
        for (i64 i = n * K + g * group_, last = n * K + std::min(K, (g + 1) * group_); i < last; ++i)
          out.f32()[i] = q.scale * std::clamp(std::rint(w_.f32()[i] * inverse + v_.f32()[i]), q.low, q.high);
      }
  });
}

void LearnedRounding::step(const Tensor& dw, float rate) {
  const i64 N = w_.dim(0), K = w_.dim(1);
  expect("learned rounding", dw, {N, K});
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      for (i64 g = 0; g < groups_; ++g) {
        const Grid q = grid(n, g, DType::f32);
        const float inverse = 1.0f / q.scale;
        double by_scale = 0;
        for (i64 i = n * K + g * group_, last = n * K + std::min(K, (g + 1) * group_); i < last; ++i) {
          const float exact = w_.f32()[i] * inverse, steps = std::rint(exact + v_.f32()[i]);
          const bool inside = steps >= q.low && steps <= q.high;
          by_scale +=
              static_cast<double>(dw.f32()[i]) * (inside ? steps - exact : std::clamp(steps, q.low, q.high));
          // ∂ŵ/∂v = s: the scale's sign counts.
          if (inside)
            v_.f32()[i] = std::clamp(v_.f32()[i] - rate * sign_of(dw.f32()[i] * q.scale), -0.5f, 0.5f);
        }
        float& c = c_.f32()[n * groups_ + g];
        const double by_c = by_scale * full_scale_.f32()[n * groups_ + g];
        c = std::clamp(c - rate * (most_ - least_) * sign_of(by_c), least_, most_);
      }
  });
}

Weight LearnedRounding::weight() const {
  const i64 N = w_.dim(0), K = w_.dim(1);
  for (const DType scale_dtype : {DType::f16, DType::bf16}) {
    Tensor codes = Tensor::empty({N, K}, DType::u8), scales = Tensor::empty({N, groups_}),
           zeros = Tensor::empty({N, groups_}, DType::u8);
    bool fits = true;
    for (i64 n = 0; n < N; ++n)
      for (i64 g = 0; g < groups_; ++g) {
        const Grid q = grid(n, g, scale_dtype);
        const IntGrid stored{q.scale, static_cast<int>(q.zero), static_cast<int>(q.high - q.low)};
        fits = fits && fits_f16(stored);
        scales.f32()[n * groups_ + g] = q.scale;
        zeros.data<u8>()[n * groups_ + g] = static_cast<u8>(q.zero);
        for (i64 i = n * K + g * group_, last = n * K + std::min(K, (g + 1) * group_); i < last; ++i)
          codes.data<u8>()[i] = static_cast<u8>(stored.code(w_.f32()[i] + v_.f32()[i] * q.scale));
      }
    if (!fits && scale_dtype == DType::f16) continue;
    return int_group_weight(
        "learned rounding", codes, scales.to(scale_dtype), format_.symmetric ? Tensor() : zeros, format_);
  }
  throw bug("learned rounding: no dtype for scales");
}

}  // namespace pare
