#include "compress/clip_search.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "compress/int_fit.h"
#include "weights/read_options.h"

namespace pare {
namespace {

/// δᵀ H_gg δ for the group of inputs [k0, k0 + n) of H (K, K).
class GroupLoss {
 public:
  GroupLoss(const Tensor& h, i64 k0, i64 n) : h_(h.f32() + k0 * h.dim(1) + k0), stride_(h.dim(1)), n_(n) {
    delta_.resize(static_cast<std::size_t>(n)), product_.resize(static_cast<std::size_t>(n));
  }
  double operator()(const float* w, const IntGrid& grid) {
    const auto low = static_cast<float>(-grid.zero), high = static_cast<float>(grid.top - grid.zero);
    const float inverse = 1.0f / grid.scale;
    for (i64 i = 0; i < n_; ++i)
      delta_[static_cast<std::size_t>(i)] =
          w[i] - grid.scale * std::clamp(std::rint(w[i] * inverse), low, high);
    std::fill(product_.begin(), product_.end(), 0.0f);
    for (i64 i = 0; i < n_; ++i) {
      const float d = delta_[static_cast<std::size_t>(i)];
      const float* row = h_ + i * stride_;
      for (i64 j = 0; j < n_; ++j) product_[static_cast<std::size_t>(j)] += d * row[j];
    }
    double sum = 0;
    for (std::size_t i = 0; i < delta_.size(); ++i) sum += static_cast<double>(delta_[i]) * product_[i];
    return sum;
  }

 private:
  const float* h_;
  i64 stride_, n_;
  std::vector<float> delta_, product_;
};

IntGrid best_grid(const float* w,
                  i64 n,
                  GroupLoss& loss,
                  const IntGroupOptions& format,
                  DType scale_dtype,
                  const ClipOptions& o) {
  const std::span<const float> group(w, static_cast<std::size_t>(n));
  const IntGrid full = fit_int_grid(group, format.bits, format.symmetric, scale_dtype);
  if (full.scale == 0 || !std::isfinite(full.scale)) return full;
  const float lowest = *std::min_element(group.begin(), group.end());
  IntGrid best = full;
  double least = loss(w, full);
  for (i64 i = 1; i <= o.steps; ++i) {
    const double share = 1 - (1 - o.least) * static_cast<double>(i) / static_cast<double>(o.steps);
    const IntGrid grid = shrunk_grid(full, share, lowest, format.symmetric, scale_dtype);
    if (grid.scale == 0) continue;
    const double tried = loss(w, grid);
    if (tried < least) best = grid, least = tried;
  }
  return best;
}

struct Rounded {
  Tensor codes, scales, zeros;
  bool fits_f16 = true;
};

Rounded round_all(const Tensor& w,
                  const Tensor& h,
                  const IntGroupOptions& format,
                  DType scale_dtype,
                  const ClipOptions& o) {
  const i64 N = w.dim(0), K = w.dim(1), width = format.group > 0 ? format.group : K,
            G = (K + width - 1) / width;
  Rounded out{
      Tensor::empty({N, K}, DType::u8), Tensor::empty({N, G}), Tensor::empty({N, G}, DType::u8), true};
  std::vector<char> fits(static_cast<std::size_t>(N), 1);
  parallel_rows(N, 1, [&](i64 begin, i64 end) {
    for (i64 g = 0; g < G; ++g) {
      const i64 k0 = g * width, n = std::min(width, K - k0);
      GroupLoss loss(h, k0, n);
      for (i64 row = begin; row < end; ++row) {
        const float* group = w.f32() + row * K + k0;
        const IntGrid grid = best_grid(group, n, loss, format, scale_dtype, o);
        if (!fits_f16(grid)) fits[static_cast<std::size_t>(row)] = 0;
        out.scales.f32()[row * G + g] = grid.scale;
        out.zeros.data<u8>()[row * G + g] = static_cast<u8>(grid.zero);
        for (i64 k = 0; k < n; ++k)
          out.codes.data<u8>()[row * K + k0 + k] = static_cast<u8>(grid.code(group[k]));
      }
    }
  });
  out.fits_f16 = std::all_of(fits.begin(), fits.end(), [](char f) { return f != 0; });
  return out;
}

}  // namespace

Weight quantize_with_clipping(const Tensor& w,
                              const Tensor& h,
                              const IntGroupOptions& format,
                              const ClipOptions& options) {
  const auto [N, K] = dims<2>("clip search", w);
  expect("clip search", h, {K, K});
  expect_finite_weight("clip search", w);
  if (!(options.least > 0 && options.least <= 1) || options.steps < 0)
    throw user_error(
        "clip search: shares down to {} in {} steps, expected 0 to 1", options.least, options.steps);
  DType scale_dtype = DType::f16;
  Rounded rounded = round_all(w, h, format, scale_dtype, options);
  if (!rounded.fits_f16) rounded = round_all(w, h, format, scale_dtype = DType::bf16, options);
  return int_group_weight("clip search",
                          rounded.codes,
                          rounded.scales.to(scale_dtype),
                          format.symmetric ? Tensor() : rounded.zeros,
                          format);
}

}  // namespace pare
