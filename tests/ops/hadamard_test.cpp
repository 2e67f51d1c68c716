#include "ops/hadamard.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr double kError = 1e-5;  // sums of up to 11008 numbers about 1, then divided by √n

/// Widths of heads, models and feed-forward blocks that people use, then odd ones.
const std::vector<i64> kReal = {8,    12,   16,   20,   24,   28,   32,   64,    80,    96,    128,
                                160,  192,  256,  512,  576,  768,  896,  960,   1024,  1536,  2048,
                                2304, 3072, 4096, 4864, 5632, 8192, 8960, 11008, 13824, 14336, 18944};
const std::vector<i64> kOdd = {1, 2, 3, 4, 6, 7, 33, 48, 100, 172, 176, 344, 368};

Tensor random_signs(i64 n, u64 seed) {
  Tensor s = Tensor::empty({n});
  Rng rng(seed);
  for (i64 i = 0; i < n; ++i) s.f32()[i] = rng.below(2) ? 1.0f : -1.0f;
  return s;
}

/// H·(s∘x)/√b from the entries.
ref::Doubles dense_product(const Hadamard& h, const Tensor& x, const Tensor& signs) {
  const i64 n = h.size(), b = h.block();
  ref::Doubles y;
  for (i64 r = 0; r < x.dim(0); ++r)
    for (i64 i = 0; i < n; ++i) {
      double sum = 0;
      for (i64 j = i / b * b; j < (i / b + 1) * b; ++j)
        sum += h.sign(i, j) * static_cast<double>(x.f32()[r * n + j]) * static_cast<double>(signs.f32()[j]);
      y.push_back(sum / std::sqrt(static_cast<double>(b)));
    }
  return y;
}

TEST(Hadamard, RealWidthsHaveOneMatrixAndItsRowsAreOrthogonal) {
  for (const i64 n : kReal) {
    SCOPED_TRACE(n);
    ASSERT_TRUE(has_hadamard(n));
    const Hadamard h(n);
    EXPECT_EQ(h.block(), n);
    // All pairs of rows of the small ones, a sample of the others.
    Rng rng(1);
    const auto dot = [&](i64 i, i64 j) {
      i64 sum = 0;
      for (i64 k = 0; k < n; ++k) sum += h.sign(i, k) * h.sign(j, k);
      return sum;
    };
    if (n <= 128)
      for (i64 i = 0; i < n; ++i)
        for (i64 j = 0; j <= i; ++j) ASSERT_EQ(dot(i, j), i == j ? n : 0) << i << " " << j;
    else
      for (int k = 0; k < 100; ++k) {
        const i64 i = rng.below(n), j = k % 10 ? rng.below(n) : i;
        ASSERT_EQ(dot(i, j), i == j ? n : 0) << i << " " << j;
      }
  }
}

TEST(Hadamard, WidthsWithoutAMatrixAreCutIntoBlocks) {
  const std::vector<std::pair<i64, i64>> cases = {{92, 4},
                                                  {172, 4},
                                                  {176, 176},
                                                  {33, 1},
                                                  {7, 1},
                                                  {6, 2},
                                                  {116 * 4, 464},
                                                  {13 * 16, 208},
                                                  {23 * 16, 368},
                                                  {29 * 64, 1856},
                                                  {59 * 32, 32}};
  for (const auto& [n, block] : cases) EXPECT_EQ(Hadamard(n).block(), block) << n;
  EXPECT_EQ(Hadamard(172).name(), "43 blocks of 4");
  EXPECT_EQ(Hadamard(4864).name(), "76 x 64");
  EXPECT_EQ(Hadamard(1024).name(), "1024");
  EXPECT_EQ(Hadamard(7).name(), "identity");
}

TEST(Hadamard, EqualsTheDenseProductAndItsInverseBringsBackOnEveryTier) {
  std::vector<i64> widths = kOdd;
  for (const i64 n : kReal)
    if (n <= 1024) widths.push_back(n);
  for (const i64 n : widths) {
    SCOPED_TRACE(n);
    const Tensor x = ref::normal({2, n}, 1), signs = random_signs(n, 2);
    const ref::Doubles want = dense_product(hadamard_matrix(n), x, signs);
    for_each_isa([&] {
      Fenced y(x.shape()), back(x.shape());
      hadamard(x, signs, y.inner);
      expect_close("y", y.inner, want, kError);
      hadamard_inverse(y.inner, signs, back.inner);
      expect_close("x", back.inner, ref::doubles(x), kError);
      EXPECT_TRUE(y.intact() && back.intact());
    });
  }
}

TEST(Hadamard, DoublesAreExactToTheirLastBits) {
  for (const i64 n : {1, 7, 24, 64, 80, 172, 576, 896, 4864}) {
    const Tensor x = ref::normal({1, n}, 1), signs = random_signs(n, 2);
    const ref::Doubles want = dense_product(hadamard_matrix(n), x, signs);
    for_each_isa([&] {
      Tensor y = Tensor::empty({1, n}, DType::f64);
      for (i64 i = 0; i < y.count(); ++i) y.data<double>()[i] = static_cast<double>(x.f32()[i]);
      hadamard(y, signs, y);
      for (i64 i = 0; i < y.count(); ++i)
        ASSERT_NEAR(y.data<double>()[i], want[static_cast<std::size_t>(i)], 1e-13) << n << " at " << i;
      hadamard_inverse(y, signs, y);
      for (i64 i = 0; i < y.count(); ++i) ASSERT_NEAR(y.data<double>()[i], x.f32()[i], 1e-13) << n;
    });
  }
}

TEST(Hadamard, TheSameBitsOnAnyTierForAnyThreadsAndAnyRowPosition) {
  for (const i64 n : {8, 24, 172, 512, 896}) {
    const Tensor x = ref::normal({90, n}, 1);
    Tensor all = Tensor::empty(x.shape());
    hadamard(x, {}, all);
    for_each_isa([&] {
      for_each_thread_count([&] {
        Tensor again = x.clone();
        hadamard(again, {}, again);
        EXPECT_TRUE(identical(again, all)) << n;
      });
    });
    Tensor one = x.rows(77, 78).clone();
    hadamard(one, {}, one);
    EXPECT_TRUE(identical(one, all.rows(77, 78)));
  }
}

TEST(Hadamard, TheInverseIsTheAdjoint) {
  for (const i64 n : {12, 28, 64, 76, 172, 240}) {
    const Tensor x = ref::normal({1, n}, 1), dy = ref::normal({1, n}, 2), signs = random_signs(n, 3);
    Tensor y = Tensor::empty(x.shape()), dx = Tensor::empty(x.shape());
    hadamard(x, signs, y);
    hadamard_inverse(dy, signs, dx);
    EXPECT_NEAR(
        ref::dot(ref::doubles(y), ref::doubles(dy)), ref::dot(ref::doubles(x), ref::doubles(dx)), 1e-4)
        << n;
  }
}

TEST(Hadamard, OneLargeInputBecomesMany) {
  Tensor x = Tensor::zeros({1, 896});
  x.f32()[5] = 1;
  hadamard(x, {}, x);
  for (const float v : x.span<float>()) EXPECT_NEAR(std::abs(v), 1 / std::sqrt(896.0), 1e-7);
}

TEST(Hadamard, RefusesWrongShapes) {
  Tensor x = Tensor::empty({2, 8}), other = Tensor::empty({2, 4}), wide = Tensor::empty({2, 8}, DType::f64);
  const Tensor signs = random_signs(8, 1);
  hadamard(x, signs, x);
  EXPECT_THROW(hadamard(x, signs, other), Error);
  EXPECT_THROW(hadamard(other, signs, other), Error);
  EXPECT_THROW(hadamard(x, signs, wide), Error);
}

}  // namespace
}  // namespace pare
