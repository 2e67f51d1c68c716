// Comparing an op's f32 with a double reference.
#pragma once
#include <gtest/gtest.h>

#include "backends.h"
#include "ref/ops.h"

namespace pare {

/// |got − want| ≤ tolerance · max(1, |want|) everywhere; reports the worst element.
inline void expect_close(const char* what, const Tensor& got, const ref::Doubles& want, double tolerance) {
  ASSERT_EQ(static_cast<std::size_t>(got.count()), want.size()) << what;
  double worst = 0;
  i64 at = 0;
  for (i64 i = 0; i < got.count(); ++i) {
    const double expected = want[static_cast<std::size_t>(i)];
    const double error =
        std::abs(static_cast<double>(got.f32()[i]) - expected) / std::max(1.0, std::abs(expected));
    if (!(error <= worst)) worst = error, at = i;
  }
  EXPECT_LE(worst, tolerance) << what << " at " << at << ": " << got.f32()[at] << " for "
                              << want[static_cast<std::size_t>(at)];
}

/// Lengths around every vector width, and real ones.
inline std::vector<i64> odd_lengths() {
  std::vector<i64> lengths;
  for (i64 n = 1; n <= 33; ++n) lengths.push_back(n);
  for (const i64 n : {63, 64, 65, 100, 384, 1000}) lengths.push_back(n);
  return lengths;
}

/// Rows [1, N − 1) of a tensor, so that neither end is a page and writes beside them show.
struct Fenced {
  explicit Fenced(const Shape& shape) {
    std::vector<i64> dims;
    for (i64 i = 0; i < shape.rank(); ++i) dims.push_back(shape[i] + (i == 0 ? 2 : 0));
    whole = Tensor::empty(Shape(std::span<const i64>(dims)));
    for (i64 i = 0; i < whole.count(); ++i) whole.f32()[i] = kFence;
    inner = whole.rows(1, shape[0] + 1);
  }
  bool intact() const {
    const i64 row = whole.count() / whole.dim(0);
    for (i64 i = 0; i < row; ++i)
      if (whole.f32()[i] != kFence || whole.f32()[whole.count() - 1 - i] != kFence) return false;
    return true;
  }
  static constexpr float kFence = -77.0f;
  Tensor whole, inner;
};

}  // namespace pare
