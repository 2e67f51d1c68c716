// The f64 product: the documented order of summation, on every tier, for odd shapes, layouts and strides.
#include "ops/gemm_f64.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backends.h"
#include "base/rng.h"

namespace pare {
namespace {

/// (rows, cols) of normal numbers, rows `stride` apart; NaN between them.
Tensor matrix(i64 rows, i64 cols, i64 stride, u64 seed) {
  Tensor out = Tensor::empty({rows, stride}, DType::f64);
  Rng rng(seed);
  for (i64 i = 0; i < out.count(); ++i) out.data<double>()[i] = i % stride < cols ? rng.normal() : NAN;
  return out;
}

double documented(const double* a, const double* b, i64 b_step, i64 K, double c, Result result) {
  const bool fused = isa_name() != "sse4" && isa_name() != "scalar";
  for (i64 k0 = 0; k0 < K; k0 += kGemmDepthF64) {
    double chain = 0;
    for (i64 k = k0; k < std::min(K, k0 + kGemmDepthF64); ++k) {
      const volatile double product = a[k] * b[k * b_step];
      chain = fused ? std::fma(a[k], b[k * b_step], chain) : chain + product;
    }
    c = k0 == 0 && result == Result::write ? chain : c + chain;
  }
  return c;
}

TEST(GemmF64, sums_in_the_documented_order_whatever_the_shape_tier_and_threads) {
  const i64 shapes[][3] = {{1, 1, 1}, {6, 8, 256}, {7, 9, 257}, {29, 37, 300}, {13, 40, 600}};
  for_each_isa([&] {
    for (const auto& [M, N, K] : shapes)
      for (const Layout layout : {Layout::plain, Layout::transposed})
        for (const Result result : {Result::write, Result::add}) {
          const bool plain = layout == Layout::plain;
          const i64 ldb = (plain ? N : K) + 3;
          const Tensor a = matrix(M, K, K + 5, 1), start = matrix(M, N, N + 2, 3),
                       b = plain ? matrix(K, N, ldb, 2) : matrix(N, K, ldb, 2);
          for_each_thread_count([&] {
            Tensor c = start.clone();
            gemm_f64(M,
                     N,
                     K,
                     a.data<double>(),
                     K + 5,
                     {b.data<double>(), ldb, layout},
                     c.data<double>(),
                     N + 2,
                     result);
            for (i64 m = 0; m < M; ++m)
              for (i64 n = 0; n < N; ++n) {
                const double* column = b.data<double>() + n * (plain ? 1 : ldb);
                const double want = documented(a.data<double>() + m * (K + 5),
                                               column,
                                               plain ? ldb : 1,
                                               K,
                                               start.data<double>()[m * (N + 2) + n],
                                               result);
                ASSERT_EQ(c.data<double>()[m * (N + 2) + n], want) << m << ", " << n;
              }
            EXPECT_TRUE(std::isnan(c.data<double>()[N]));
          });
        }
  });
}

}  // namespace
}  // namespace pare
