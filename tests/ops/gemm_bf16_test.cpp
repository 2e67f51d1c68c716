// Products of inputs rounded to bf16: the sum of the rounded inputs' products in every layout, on every tier;
// the same bits for any threads and rows.
#include <bit>
#include <cmath>

#include "ops/close.h"
#include "ops/gemm.h"

namespace pare {
namespace {

using ref::normal;

Tensor transposed(const Tensor& t) {
  Tensor out = Tensor::empty({t.dim(1), t.dim(0)});
  for (i64 r = 0; r < t.dim(0); ++r)
    for (i64 c = 0; c < t.dim(1); ++c) out.f32()[c * t.dim(0) + r] = t.f32()[r * t.dim(1) + c];
  return out;
}

/// B (K,N) in the four ways in which it may be given; `from` 0 to 3.
struct OperandB {
  OperandB(const Tensor& b, int from) : plain(b), columns(transposed(b)) {
    const i64 K = b.dim(0), N = b.dim(1);
    if (from == 0) operand.data = plain.f32(), operand.stride = N;
    if (from == 1) operand.data = columns.f32(), operand.stride = K, operand.layout = Layout::transposed;
    if (from == 2)
      operand.decode_columns = [this, K](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
        for (i64 n = n0; n < n1; ++n)
          std::copy(columns.f32() + n * K + k0, columns.f32() + n * K + k1, tile + (n - n0) * stride);
      };
    if (from == 3)
      operand.decode_rows = [this, N](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
        for (i64 k = k0; k < k1; ++k)
          std::copy(plain.f32() + k * N + n0, plain.f32() + k * N + n1, tile + (k - k0) * stride);
      };
  }
  Tensor plain, columns;
  GemmB operand;
};

struct Case {
  i64 M, N, K;
  Tensor a, b, c, bias;
  Case(i64 m, i64 n, i64 k)
      : M(m),
        N(n),
        K(k),
        a(normal({m, k}, static_cast<u64>(m + n + k))),
        b(normal({k, n}, static_cast<u64>(m * n + k))),
        c(normal({m, n}, static_cast<u64>(m + n * k))),
        bias(normal({n}, static_cast<u64>(n))) {}

  Tensor run(Layout layout, int from, bool add) const {
    const Tensor at = transposed(a);
    const GemmA operand = layout == Layout::plain ? GemmA{a.f32(), K} : GemmA{at.f32(), M, layout};
    Tensor out = c.clone();
    gemm(M,
         N,
         K,
         operand,
         OperandB(b, from).operand,
         out.f32(),
         N,
         add ? Result::add : Result::write,
         bias.f32(),
         Products::bf16);
    return out;
  }
  void expect_sum(const Tensor& got, bool add) const {
    const Tensor x = a.to(DType::bf16).to_f32(), y = b.to(DType::bf16).to_f32();
    for (i64 m = 0; m < M; ++m)
      for (i64 n = 0; n < N; ++n) {
        double sum = 0, size = 1;
        for (i64 k = 0; k < K; ++k) {
          const double p = static_cast<double>(x.f32()[m * K + k]) * static_cast<double>(y.f32()[k * N + n]);
          sum += p;
          size += std::abs(p);
        }
        const double want =
            sum + static_cast<double>(bias.f32()[n]) + (add ? static_cast<double>(c.f32()[m * N + n]) : 0.0);
        ASSERT_NEAR(got.f32()[m * N + n], want, 2e-6 * size) << m << " " << n;
      }
  }
};

TEST(GemmBf16, IsTheSumOverRoundedInputsOnEveryTierInEveryLayout) {
  for_each_isa([] {
    for (const Case& x : {Case(1, 1, 1),
                          Case(1, 17, 385),
                          Case(5, 33, 384),
                          Case(7, 3, 769),
                          Case(13, 16, 31),
                          Case(25, 35, 400),
                          Case(53, 130, 13)})
      for (const bool add : {false, true})
        for (const Layout layout : {Layout::plain, Layout::transposed})
          for (int from = 0; from < 4; ++from) {
            SCOPED_TRACE(
                fmt::format("{}x{}x{} A {} B {} add {}", x.M, x.N, x.K, static_cast<int>(layout), from, add));
            x.expect_sum(x.run(layout, from, add), add);
          }
  });
}

TEST(GemmBf16, EveryHeightAroundTheRegisterTile) {
  for_each_isa([] {
    for (i64 M = 1; M <= 26; ++M)
      for (const i64 N : {1, 9, 16, 33}) {
        SCOPED_TRACE(fmt::format("{}x{}", M, N));
        const Case x(M, N, 19);
        x.expect_sum(x.run(Layout::plain, 1, true), true);
      }
  });
}

TEST(GemmBf16, SameBitsForAnyThreadCountAndAnyNumberOfRows) {
  for_each_isa([] {
    const Case x(201, 147, 801);
    set_threads(1);
    const Tensor want = x.run(Layout::plain, 0, true);
    for_each_thread_count([&] {
      for (const Layout layout : {Layout::plain, Layout::transposed})
        EXPECT_TRUE(identical(x.run(layout, 2, true), want));
      for (const i64 rows : {1, 3, 24, 49}) {
        const i64 first = 201 - rows;
        Tensor some = x.c.rows(first, 201).clone();
        gemm(rows,
             x.N,
             x.K,
             {x.a.f32() + first * x.K, x.K},
             OperandB(x.b, 0).operand,
             some.f32(),
             x.N,
             Result::add,
             x.bias.f32(),
             Products::bf16);
        EXPECT_TRUE(identical(some, want.rows(first, 201).clone())) << rows << " rows";
      }
    });
  });
}

TEST(GemmBf16, WhatIsNoNumberStaysSo) {
  for_each_isa([] {
    for (const float bad :
         {std::nanf(""), std::bit_cast<float>(0x7F800001u), std::bit_cast<float>(0xFFFFFFFFu)}) {
      Case x(3, 20, 50);
      x.a.f32()[1 * 50 + 7] = bad;
      const Tensor got = x.run(Layout::plain, 0, false);
      for (i64 n = 0; n < 20; ++n) {
        EXPECT_TRUE(std::isnan(got.f32()[20 + n]));
        EXPECT_FALSE(std::isnan(got.f32()[n]));
      }
    }
  });
}

}  // namespace
}  // namespace pare
