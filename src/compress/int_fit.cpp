#include "compress/int_fit.h"

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

double error_of(const IntGrid& grid,
                std::span<const float> weights,
                std::span<const float> importance,
                bool alike,
                double give_up) {
  const auto low = static_cast<float>(-grid.zero), high = static_cast<float>(grid.top - grid.zero);
  const float inverse = 1.0f / grid.scale;
  double sum = 0;
  for (std::size_t i = 0; i < weights.size() && sum < give_up; ++i) {
    const float steps = std::clamp(std::rint(weights[i] * inverse), low, high);
    const float error = weights[i] - grid.scale * steps;
    sum += static_cast<double>(alike ? error * error : importance[i] * error * error);
  }
  return sum;
}

}  // namespace

IntGrid shrunk_grid(const IntGrid& full, double share, float lowest, bool symmetric, DType scale_dtype) {
  IntGrid grid = full;
  grid.scale = stored_scale(static_cast<float>(share * full.scale), scale_dtype);
  if (symmetric || grid.scale == 0) return grid;
  const float zero = std::rint(-static_cast<float>(share) * std::min(lowest, 0.0f) / grid.scale);
  grid.zero = static_cast<int>(std::clamp(zero, 0.0f, static_cast<float>(grid.top)));
  return grid;
}

IntGrid fit_int_grid_to(std::span<const float> weights,
                        std::span<const float> importance,
                        const IntFitOptions& o) {
  const IntGrid full = fit_int_grid(weights, o.bits, o.symmetric, o.scale_dtype);
  if (o.least >= 1 || full.scale == 0 || !std::isfinite(full.scale)) return full;
  const bool alike = std::all_of(importance.begin(), importance.end(), [](float h) { return h == 0; });
  IntGrid best = full;
  double least_error = error_of(full, weights, importance, alike, INFINITY);
  const float lowest = weights.empty() ? 0.0f : *std::min_element(weights.begin(), weights.end());
  const auto consider = [&](const IntGrid& grid) {
    if (grid.scale == 0 || !std::isfinite(grid.scale)) return;
    const double error = error_of(grid, weights, importance, alike, least_error);
    if (error < least_error) best = grid, least_error = error;
  };
  for (double share = 1 - o.step; share > o.least - 1e-9; share -= o.step) {
    IntGrid grid = shrunk_grid(full, share, lowest, o.symmetric, o.scale_dtype);
    consider(grid);
    // The longer side of a symmetric grid may as well lie on the other sign, once both are clipped.
    if (o.symmetric) grid.scale = -grid.scale, consider(grid);
  }
  return best;
}

}  // namespace pare
