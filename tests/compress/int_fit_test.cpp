// Grids that clip: never a larger weighted error than the full range has, and less where one weight stands
// out.
#include "compress/int_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ref/ops.h"

namespace pare {
namespace {

double error_of(const IntGrid& grid, std::span<const float> w, std::span<const float> h) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) sum += h[i] * std::pow(grid.value(grid.code(w[i])) - w[i], 2);
  return sum;
}

TEST(IntFit, is_never_worse_than_the_full_range) {
  for (u64 seed = 1; seed < 60; ++seed) {
    Tensor w = ref::normal({32}, seed), h = ref::normal({32}, seed + 1000);
    for (i64 i = 0; i < 32; ++i) h.f32()[i] = seed % 5 == 0 ? 0 : h.f32()[i] * h.f32()[i];
    w.f32()[seed % 32] *= 6;
    for (const int bits : {2, 3, 4, 8})
      for (const bool symmetric : {true, false}) {
        const IntGrid full = fit_int_grid(w.span<float>(), bits, symmetric, DType::f16);
        const IntGrid fitted =
            fit_int_grid_to(w.span<float>(), h.span<float>(), {bits, symmetric, DType::f16, 0.5, 0.025});
        const Tensor weights = seed % 5 == 0 ? Tensor::of({32}, std::vector<float>(32, 1.0f)) : h;
        EXPECT_LE(error_of(fitted, w.span<float>(), weights.span<float>()),
                  error_of(full, w.span<float>(), weights.span<float>()) * (1 + 1e-5) + 1e-12);
      }
  }
}

TEST(IntFit, gives_up_a_weight_that_nothing_depends_on) {
  std::vector<float> w(32, 0.1f), h(32, 1.0f);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] *= static_cast<float>(i % 7) - 3;
  w[5] = 0.55f, h[5] = 0;
  const IntGrid fitted = fit_int_grid_to(w, h, {3, true, DType::f32, 0.5, 0.025});
  EXPECT_LT(error_of(fitted, w, h), 0.6 * error_of(fit_int_grid(w, 3, true, DType::f32), w, h));
  EXPECT_EQ(fit_int_grid_to(w, h, {3, true, DType::f32, 1, 0.025}).scale,
            fit_int_grid(w, 3, true, DType::f32).scale);
}

}  // namespace
}  // namespace pare
