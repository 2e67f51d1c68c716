#include "compress/stiefel.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/rotation.h"
#include "ref/ops.h"

namespace pare {
namespace {

Tensor normal64(i64 n, u64 seed) {
  const Tensor x = ref::normal({n, n}, seed);
  Tensor out = Tensor::empty({n, n}, DType::f64);
  std::copy_n(x.f32(), x.count(), out.data<double>());
  return out;
}
/// ‖RᵀR − I‖_F
double drift(const Tensor& r) {
  const i64 n = r.dim(0);
  double sum = 0;
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < n; ++j) {
      double dot = i == j ? -1.0 : 0.0;
      for (i64 k = 0; k < n; ++k) dot += r.data<double>()[k * n + i] * r.data<double>()[k * n + j];
      sum += dot * dot;
    }
  return std::sqrt(sum);
}
double inner(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (i64 i = 0; i < a.count(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}
/// ½‖R − T‖² has its gradient R − T.
Tensor difference(const Tensor& r, const Tensor& target) {
  Tensor g = r.clone();
  for (i64 i = 0; i < g.count(); ++i) g.data<double>()[i] -= target.data<double>()[i];
  return g;
}

TEST(Stiefel, AHundredStepsStayOrthogonal) {
  for (const i64 n : {2, 24, 96}) {
    Tensor r = Rotation::random(n, Rng(1)).matrix();
    for (u64 step = 0; step < 100; ++step) {
      const Tensor a = descent_direction(r, normal64(n, step));
      r = cayley_step(r, a, 1.5 / mean_angle(a));
    }
    EXPECT_LE(drift(r), 1e-10) << n;
  }
}

TEST(Stiefel, TheDirectionIsTheGradientAlongTheManifold) {
  const i64 n = 24;
  const Tensor r = Rotation::random(n, Rng(1)).matrix(), c = normal64(n, 2);
  const Tensor a = descent_direction(r, c);  // of the loss ⟨C, R⟩
  for (u64 seed = 3; seed < 6; ++seed) {
    // Along a skew B of its own, R' ≈ R + α·B·R: the loss changes by ⟨C, B·R⟩ = −⟨A, B⟩.
    const Tensor b = descent_direction(r, normal64(n, seed));
    constexpr double kStep = 1e-4;
    const double slope =
        (inner(c, cayley_step(r, b, kStep)) - inner(c, cayley_step(r, b, -kStep))) / (2 * kStep);
    EXPECT_NEAR(slope, -inner(a, b), 1e-5 * std::abs(slope));
  }
}

TEST(Stiefel, SmallStepsNeverRaiseASmoothLossAndComeClose) {
  const Tensor target = Rotation::random(16, Rng(1)).matrix();
  Tensor r = target;
  for (u64 seed = 0; seed < 3; ++seed) r = cayley_step(r, descent_direction(r, normal64(16, seed)), 0.1);
  double loss = inner(difference(r, target), difference(r, target));
  const double first = loss;
  EXPECT_GT(first, 0.1);
  for (int step = 0; step < 200; ++step) {
    r = cayley_step(r, descent_direction(r, difference(r, target)), 0.1);
    const double next = inner(difference(r, target), difference(r, target));
    EXPECT_LE(next, loss + 1e-14);
    loss = next;
  }
  EXPECT_LE(loss, 1e-6 * first);
}

TEST(Stiefel, KeepsOnesWhereAsked) {
  const i64 n = 24;
  Tensor r = Rotation::fixing_ones(n, Rng(1)).matrix();
  for (u64 step = 0; step < 20; ++step) {
    Tensor a = descent_direction(r, normal64(n, step));
    keep_ones(a);
    for (i64 i = 0; i < n; ++i)
      for (i64 j = 0; j < n; ++j)
        EXPECT_NEAR(a.data<double>()[i * n + j], -a.data<double>()[j * n + i], 1e-14);
    r = cayley_step(r, a, 0.5);
  }
  EXPECT_LE(drift(r), 1e-11);
  for (i64 i = 0; i < n; ++i) {
    double row = 0, column = 0;
    for (i64 j = 0; j < n; ++j) row += r.data<double>()[i * n + j], column += r.data<double>()[j * n + i];
    EXPECT_NEAR(row, 1, 1e-11);
    EXPECT_NEAR(column, 1, 1e-11);
  }
}

}  // namespace
}  // namespace pare
