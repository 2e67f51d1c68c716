// Factors in blocks, multiplied out again.
#include "compress/blocked_cholesky.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backends.h"
#include "ref/ops.h"

namespace pare {
namespace {

/// A = XᵀX / 60 + 1/4 for normal X (60, K): eigenvalues of 1/4 and of some K / 60.
std::vector<double> positive(i64 K) {
  const Tensor x = ref::normal({60, K}, 9);
  std::vector<double> a(static_cast<std::size_t>(K * K), 0.0);
  for (i64 k = 0; k < 60; ++k)
    for (i64 i = 0; i < K; ++i)
      for (i64 j = 0; j < K; ++j)
        a[static_cast<std::size_t>(i * K + j)] +=
            static_cast<double>(x.f32()[k * K + i]) * x.f32()[k * K + j] / 60;
  for (i64 i = 0; i < K; ++i) a[static_cast<std::size_t>(i * K + i)] += 0.25;
  return a;
}

template <class T>
Tensor lower_triangle(const std::vector<double>& a, i64 K, DType dtype) {
  Tensor out = Tensor::empty({K, K}, dtype);
  for (i64 i = 0; i < K; ++i)
    for (i64 j = 0; j < K; ++j)
      out.data<T>()[i * K + j] =
          j > i ? static_cast<T>(NAN) : static_cast<T>(a[static_cast<std::size_t>(i * K + j)]);
  return out;
}

template <class T>
void check(i64 K, DType dtype, double tolerance) {
  const std::vector<double> a = positive(K);
  Tensor factor = lower_triangle<T>(a, K, dtype), inverse = lower_triangle<T>(a, K, dtype);
  ASSERT_TRUE(cholesky(factor));
  ASSERT_TRUE(inverse_of_cholesky(inverse));
  const T *l = factor.data<T>(), *x = inverse.data<T>();
  for (i64 i = 0; i < K; i += 13)
    for (i64 j = 0; j < K; j += 13) {
      double product = 0, identity = 0;
      for (i64 k = 0; k <= std::min(i, j); ++k) product += static_cast<double>(l[i * K + k]) * l[j * K + k];
      for (i64 k = j; k <= i; ++k) identity += static_cast<double>(l[i * K + k]) * x[k * K + j];
      ASSERT_NEAR(product, a[static_cast<std::size_t>(i * K + j)], tolerance) << i << ", " << j;
      if (i >= j)
        ASSERT_NEAR(identity, i == j, tolerance) << i << ", " << j;
      else
        ASSERT_EQ(x[i * K + j], 0) << i << ", " << j;
    }
}

TEST(BlockedCholesky, gives_the_matrix_back_and_its_inverse_the_identity) {
  for (const i64 K : {1, 40, 300, 820}) {
    check<double>(K, DType::f64, 1e-12);
    check<float>(K, DType::f32, 1e-4);
  }
}

TEST(BlockedCholesky, has_the_same_bits_with_any_threads) {
  const std::vector<double> a = positive(400);
  Tensor first;
  for_each_thread_count([&] {
    Tensor inverse = lower_triangle<double>(a, 400, DType::f64);
    ASSERT_TRUE(inverse_of_cholesky(inverse));
    if (!first.defined()) first = inverse;
    EXPECT_TRUE(identical(first, inverse));
  });
}

TEST(BlockedCholesky, refuses_a_matrix_that_is_not_positive_definite_in_any_block) {
  for (const i64 at : {0, 299}) {
    std::vector<double> a = positive(300);
    a[static_cast<std::size_t>(at * 301)] = -1;
    Tensor f64 = lower_triangle<double>(a, 300, DType::f64), f32 = lower_triangle<float>(a, 300, DType::f32);
    EXPECT_FALSE(cholesky(f64));
    EXPECT_FALSE(inverse_of_cholesky(f32));
  }
}

}  // namespace
}  // namespace pare
