#include "ops/rope.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr double kError = 5e-7;  // two products of numbers about 1 with sines correct to a few ulp

struct Case {
  i64 heads, E, half;
  float scaling;
};
const std::vector<Case> kCases = {{1, 2, 1, 1.0f},
                                  {3, 6, 3, 1.0f},
                                  {2, 7, 3, 1.0f},
                                  {8, 48, 24, 1.0f},
                                  {2, 64, 8, 1.0f},
                                  {1, 80, 10, 1.0f},
                                  {4, 128, 64, 1.2f},
                                  {1, 66, 33, 0.7f}};

std::vector<float> frequencies(i64 half) {
  std::vector<float> f;
  for (i64 i = 0; i < half; ++i)
    f.push_back(static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half))));
  return f;
}
Tensor as_tensor(const std::vector<i32>& pos) {
  Tensor t = Tensor::empty({static_cast<i64>(pos.size())}, DType::i32);
  std::copy(pos.begin(), pos.end(), t.data<i32>());
  return t;
}
const std::vector<i32> kPositions = {0, 1, 2, 3, 100, 511, 4095, 131071, 1000003, 1048575};

TEST(Rope, EqualsTheReferenceAtAnyPositionOnEveryTier) {
  const i64 N = static_cast<i64>(kPositions.size());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.E);
    const Tensor x = ref::normal({N, c.heads * c.E}, 1);
    const std::vector<float> f = frequencies(c.half);
    const ref::Doubles y = ref::rope(ref::doubles(x), kPositions, f, c.scaling, c.E);
    for_each_isa([&] {
      Fenced got(x.shape());
      std::memcpy(got.inner.raw(), x.raw(), static_cast<std::size_t>(x.bytes()));
      rope(got.inner, as_tensor(kPositions), Tensor::of({c.half}, f), c.scaling, c.E);
      expect_close("y", got.inner, y, kError);
      EXPECT_TRUE(got.intact());
    });
  }
}

TEST(Rope, SinesAreCorrectToAFewUlp) {
  const i64 N = 4000;
  std::vector<i32> pos;
  Rng rng(3);
  for (i64 n = 0; n < N; ++n) pos.push_back(static_cast<i32>(n < 2000 ? n : rng.below(1 << 20)));
  Tensor x = Tensor::zeros({N, 2});
  for (i64 n = 0; n < N; ++n) x.f32()[2 * n] = 1.0f;  // becomes (cos, sin)
  for_each_isa([&] {
    Tensor y = x.clone();
    rope(y, as_tensor(pos), Tensor::of({1}, std::vector<float>{1.0f}), 1.0f, 2);
    for (i64 n = 0; n < N; ++n) {
      const double c = std::cos(pos[static_cast<std::size_t>(n)]),
                   s = std::sin(pos[static_cast<std::size_t>(n)]);
      ASSERT_NEAR(y.f32()[2 * n], c, 2.5e-7 * std::abs(c)) << "cos " << pos[static_cast<std::size_t>(n)];
      ASSERT_NEAR(y.f32()[2 * n + 1], s, 2.5e-7 * std::abs(s)) << "sin " << pos[static_cast<std::size_t>(n)];
    }
  });
}

TEST(Rope, DimensionsBehindTheRotatedOnesPassThrough) {
  const Tensor x = ref::normal({5, 2 * 20}, 1);
  Tensor y = x.clone();
  rope(y, as_tensor({1, 2, 3, 4, 5}), Tensor::of({4}, frequencies(4)), 1.5f, 20);
  for (i64 n = 0; n < 5; ++n)
    for (i64 i = 0; i < 40; ++i) {
      if (i % 20 >= 8)
        EXPECT_EQ(y.f32()[n * 40 + i], x.f32()[n * 40 + i]);
      else
        EXPECT_NE(y.f32()[n * 40 + i], x.f32()[n * 40 + i]);
    }
}

TEST(Rope, BackwardIsTheAdjoint) {
  const i64 N = static_cast<i64>(kPositions.size());
  for (const Case& c : kCases) {
    const Tensor x = ref::normal({N, c.heads * c.E}, 1), dy = ref::normal(x.shape(), 2);
    const std::vector<float> f = frequencies(c.half);
    const ref::Doubles g = ref::doubles(dy);
    const ref::Doubles dx = ref::central_differences(
        ref::doubles(x),
        [&](const ref::Doubles& at) { return ref::dot(g, ref::rope(at, kPositions, f, c.scaling, c.E)); },
        1e-3);  // linear, so any step is exact
    for_each_isa([&] {
      Tensor got = dy.clone();
      rope_backward(got, as_tensor(kPositions), Tensor::of({c.half}, f), c.scaling, c.E);
      expect_close("dx", got, dx, 1e-6);
    });
  }
}

TEST(Rope, TheSameBitsForAnyThreadsAndAnyRowPosition) {
  std::vector<i32> pos;
  for (i32 n = 0; n < 300; ++n) pos.push_back(n * 37 % 1000);
  const Tensor x = ref::normal({300, 96}, 1), f = Tensor::of({24}, frequencies(24));
  Tensor all = x.clone();
  rope(all, as_tensor(pos), f, 1.0f, 48);
  for_each_thread_count([&] {
    Tensor again = x.clone();
    rope(again, as_tensor(pos), f, 1.0f, 48);
    EXPECT_TRUE(identical(again, all));
  });
  Tensor one = x.rows(123, 124).clone();
  rope(one, as_tensor({pos[123]}), f, 1.0f, 48);
  EXPECT_TRUE(identical(one, all.rows(123, 124)));
}

TEST(Rope, RefusesWrongShapes) {
  Tensor x = Tensor::empty({2, 32});
  const Tensor pos = as_tensor({0, 1}), f = Tensor::of({8}, frequencies(8));
  rope(x, pos, f, 1.0f, 16);
  EXPECT_THROW(rope(x, as_tensor({0}), f, 1.0f, 16), Error);
  EXPECT_THROW(rope(x, pos, f, 1.0f, 8), Error);   // 16 rotated of 8
  EXPECT_THROW(rope(x, pos, f, 1.0f, 20), Error);  // 32 columns are not heads of 20
  EXPECT_THROW(rope(x, pos, f, 1.0f, 0), Error);
}

}  // namespace
}  // namespace pare
