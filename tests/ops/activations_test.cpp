#include "ops/activations.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr double kError = 2e-6;  // an exponential of 1 ulp, a division and a few products of numbers about 1

/// From −30 to 30 with many values about zero.
Tensor arguments(i64 n, u64 seed) {
  Tensor t = ref::normal({n}, seed);
  for (i64 i = 0; i < n; i += 3) t.f32()[i] *= 10.0f;
  return t;
}

using Function = double (*)(double);
ref::Doubles map(const ref::Doubles& x, Function f) {
  ref::Doubles y;
  for (const double v : x) y.push_back(f(v));
  return y;
}
/// Each slope by differences of its own element.
ref::Doubles slopes(const ref::Doubles& x, Function f) {
  ref::Doubles y;
  for (const double v : x) y.push_back((f(v + 1e-6) - f(v - 1e-6)) / 2e-6);
  return y;
}
ref::Doubles times(const ref::Doubles& a, const ref::Doubles& b) {
  ref::Doubles y;
  for (std::size_t i = 0; i < a.size(); ++i) y.push_back(a[i] * b[i]);
  return y;
}

TEST(SiluMul, ForwardAndGradientsEqualTheReferenceForAnyLength) {
  for (const i64 n : odd_lengths()) {
    const Tensor g = arguments(n, 1), u = ref::normal({n}, 2), dy = ref::normal({n}, 3);
    const ref::Doubles gd = ref::doubles(g), ud = ref::doubles(u), dyd = ref::doubles(dy);
    const ref::Doubles silu = map(gd, ref::silu);
    for_each_isa([&] {
      Fenced y({n}), dg({n}), du({n});
      silu_mul(g, u, y.inner);
      silu_mul_backward(dy, g, u, dg.inner, du.inner);
      expect_close("y", y.inner, times(silu, ud), kError);
      expect_close("dg", dg.inner, times(times(dyd, ud), slopes(gd, ref::silu)), 2 * kError);
      expect_close("du", du.inner, times(dyd, silu), kError);
      EXPECT_TRUE(y.intact() && dg.intact() && du.intact());
    });
  }
}

TEST(GeluTanh, ForwardAndGradientEqualTheReferenceForAnyLength) {
  for (const i64 n : odd_lengths()) {
    const Tensor x = arguments(n, 1), dy = ref::normal({n}, 3);
    const ref::Doubles xd = ref::doubles(x);
    for_each_isa([&] {
      Fenced y({n}), dx({n});
      gelu_tanh(x, y.inner);
      gelu_tanh_backward(dy, x, dx.inner);
      expect_close("y", y.inner, map(xd, ref::gelu_tanh), kError);
      expect_close("dx", dx.inner, times(ref::doubles(dy), slopes(xd, ref::gelu_tanh)), 4 * kError);
      EXPECT_TRUE(y.intact() && dx.intact());
    });
  }
}

TEST(Activations, HugeArgumentsStayFinite) {
  const Tensor x = Tensor::of({6}, std::vector<float>{-1e30f, -3000.0f, -90.0f, 90.0f, 3000.0f, 1e30f});
  Tensor ones = Tensor::of({6}, std::vector<float>(6, 1.0f)), y = Tensor::empty({6}), d = Tensor::empty({6}),
         du = d.clone();
  for_each_isa([&] {
    silu_mul(x, ones, y);
    silu_mul_backward(ones, x, ones, d, du);
    for (i64 i = 0; i < 6; ++i) {
      EXPECT_NEAR(y.f32()[i], std::max(x.f32()[i], 0.0f), 1e-4f) << x.f32()[i];
      EXPECT_NEAR(d.f32()[i], i < 3 ? 0.0f : 1.0f, 1e-4f) << x.f32()[i];
    }
  });
  const Tensor z = Tensor::of({4}, std::vector<float>{-1e4f, -50.0f, 50.0f, 1e4f});  // x³ is finite
  Tensor g = Tensor::empty({4}), dg = Tensor::empty({4}), one = Tensor::of({4}, std::vector<float>(4, 1.0f));
  for_each_isa([&] {
    gelu_tanh(z, g);
    gelu_tanh_backward(one, z, dg);
    for (i64 i = 0; i < 4; ++i) {
      EXPECT_NEAR(g.f32()[i], std::max(z.f32()[i], 0.0f), 1e-4f) << z.f32()[i];
      EXPECT_NEAR(dg.f32()[i], i < 2 ? 0.0f : 1.0f, 1e-4f) << z.f32()[i];
    }
  });
}

/// An element's bits must not depend on its place, or a batch would change a result.
TEST(Activations, TheSameBitsForAnyThreadsAndAnyPlace) {
  const i64 n = 1 << 16;
  const Tensor g = arguments(n, 1), u = ref::normal({n}, 2), dy = ref::normal({n}, 3);
  Tensor y = Tensor::empty({n}), gelu = y.clone(), dg = y.clone(), du = y.clone(), dx = y.clone();
  silu_mul(g, u, y), silu_mul_backward(dy, g, u, dg, du), gelu_tanh(g, gelu), gelu_tanh_backward(dy, g, dx);
  for_each_thread_count([&] {
    Tensor a = Tensor::empty({n}), b = a.clone();
    silu_mul(g, u, a);
    EXPECT_TRUE(identical(a, y));
    silu_mul_backward(dy, g, u, a, b);
    EXPECT_TRUE(identical(a, dg) && identical(b, du));
    gelu_tanh(g, a);
    EXPECT_TRUE(identical(a, gelu));
    gelu_tanh_backward(dy, g, a);
    EXPECT_TRUE(identical(a, dx));
  });
  for (const auto& [begin, end] : {std::pair{1, 4}, std::pair{7, 30}, std::pair{1001, 1002}}) {
    Tensor a = Tensor::empty({end - begin});
    silu_mul(g.rows(begin, end), u.rows(begin, end), a);
    EXPECT_TRUE(identical(a, y.rows(begin, end)));
    gelu_tanh(g.rows(begin, end), a);
    EXPECT_TRUE(identical(a, gelu.rows(begin, end)));
  }
}

TEST(Activations, WorkInPlace) {
  const i64 n = 101;
  const Tensor g = arguments(n, 1), u = ref::normal({n}, 2), dy = ref::normal({n}, 3);
  Tensor y = Tensor::empty({n}), dg = y.clone(), du = y.clone();
  silu_mul(g, u, y), silu_mul_backward(dy, g, u, dg, du);
  Tensor a = g.clone(), b = u.clone();
  silu_mul(a, b, a);
  EXPECT_TRUE(identical(a, y));
  a = g.clone();
  silu_mul(a, b, b);
  EXPECT_TRUE(identical(b, y));
  a = g.clone(), b = u.clone();
  silu_mul_backward(dy, a, b, a, b);
  EXPECT_TRUE(identical(a, dg) && identical(b, du));
  gelu_tanh(g, y), gelu_tanh_backward(dy, g, dg);
  a = g.clone(), b = dy.clone();
  gelu_tanh_backward(b, a, b), gelu_tanh(a, a);
  EXPECT_TRUE(identical(a, y) && identical(b, dg));
}

TEST(AddAndScale, AreExact) {
  for (const i64 n : odd_lengths()) {
    const Tensor x = ref::normal({n}, 1), y = ref::normal({n}, 2);
    for_each_isa([&] {
      Fenced sum({n}), product({n});
      std::memcpy(sum.inner.raw(), y.raw(), static_cast<std::size_t>(y.bytes()));
      add_to(x, sum.inner);
      scale(x, 0.3f, product.inner);
      for (i64 i = 0; i < n; ++i) {
        ASSERT_EQ(sum.inner.f32()[i], x.f32()[i] + y.f32()[i]);
        ASSERT_EQ(product.inner.f32()[i], x.f32()[i] * 0.3f);
      }
      EXPECT_TRUE(sum.intact() && product.intact());
    });
  }
}

TEST(Activations, RefuseWrongShapes) {
  Tensor a = Tensor::empty({4, 8}), b = Tensor::empty({4, 7});
  EXPECT_THROW(silu_mul(a, b, a), Error);
  EXPECT_THROW(silu_mul_backward(a, a, a, a, b), Error);
  EXPECT_THROW(gelu_tanh(a, b), Error);
  EXPECT_THROW(gelu_tanh_backward(a, b, a), Error);
  EXPECT_THROW(add_to(a, b), Error);
  EXPECT_THROW(scale(a, 1.0f, b), Error);
}

}  // namespace
}  // namespace pare
