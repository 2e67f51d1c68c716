// The product's contract: the documented order of summation bit for bit, on every tier, for any shape,
// layout, stride and thread count.
#include "ops/gemm.h"

#include <cmath>

#include "ops/close.h"

namespace pare {
namespace {

using ref::normal;

/// SSE4 and below round each product before adding it.
bool fused() {
  const std::string isa = isa_name();
  return isa != "sse4" && isa != "scalar";
}

/// One output as the header states it: block chains from zero, added in order, then the bias.
float documented(
    const std::vector<float>& a, const std::vector<float>& b, float c, Result result, float bias) {
  const i64 K = static_cast<i64>(a.size());
  for (i64 k0 = 0; k0 < K; k0 += kGemmDepth) {
    float chain = 0;
    for (i64 k = k0; k < std::min(K, k0 + kGemmDepth); ++k) {
      const float x = a[static_cast<std::size_t>(k)], y = b[static_cast<std::size_t>(k)];
      if (fused()) {
        chain = std::fmaf(x, y, chain);
      } else {
        const volatile float product = x * y;
        chain += product;
      }
    }
    c = k0 == 0 && result == Result::write ? chain : c + chain;
  }
  return c + bias;
}

enum class From { plain, transposed, columns, rows };

/// A (M,K), B (K,N) with rows `gap` floats longer than they must be, in any layout.
struct Case {
  i64 M, N, K, gap;
  Tensor a, b, c, bias;
  Case(i64 m, i64 n, i64 k, i64 extra = 0) : M(m), N(n), K(k), gap(extra) {
    const u64 seed = static_cast<u64>(m * 1000003 + n * 1009 + k);
    a = normal({M, K}, seed);
    b = normal({K, N}, seed + 1);
    c = normal({M, N}, seed + 2);
    bias = normal({N}, seed + 3);
  }
  static Tensor spread(const Tensor& t, bool transpose, i64 gap) {
    const i64 R = t.dim(0), C = t.dim(1);
    Tensor out = Tensor::zeros({transpose ? C : R, (transpose ? R : C) + gap});
    for (i64 i = 0; i < out.count(); ++i) out.f32()[i] = NAN;  // what lies between rows is never used
    for (i64 r = 0; r < R; ++r)
      for (i64 j = 0; j < C; ++j)
        out.f32()[transpose ? j * (R + gap) + r : r * (C + gap) + j] = t.f32()[r * C + j];
    return out;
  }
  /// C after the product, dense (M,N). What lies beside C must stay.
  Tensor run(Layout a_layout, From from, Result result, bool with_bias) const {
    const bool at = a_layout == Layout::transposed;
    const Tensor a_data = spread(a, at, gap);
    const Tensor b_data = spread(b, from == From::transposed || from == From::columns, gap);
    GemmB operand;
    if (from == From::plain || from == From::transposed) {
      operand.data = b_data.f32();
      operand.stride = b_data.dim(1);
      operand.layout = from == From::plain ? Layout::plain : Layout::transposed;
    } else if (from == From::columns) {
      operand.decode_columns = [&](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
        for (i64 n = n0; n < n1; ++n)
          for (i64 k = k0; k < k1; ++k) tile[(n - n0) * stride + k - k0] = b.f32()[k * N + n];
      };
    } else {
      operand.decode_rows = [&](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
        for (i64 k = k0; k < k1; ++k)
          for (i64 n = n0; n < n1; ++n) tile[(k - k0) * stride + n - n0] = b.f32()[k * N + n];
      };
    }
    const i64 ldc = N + gap;
    Fenced out({M, ldc});
    for (i64 m = 0; m < M; ++m)
      for (i64 n = 0; n < ldc; ++n)
        out.inner.f32()[m * ldc + n] = n < N ? c.f32()[m * N + n] : Fenced::kFence;
    gemm(M,
         N,
         K,
         {a_data.f32(), a_data.dim(1), a_layout},
         operand,
         out.inner.f32(),
         ldc,
         result,
         with_bias ? bias.f32() : nullptr);
    EXPECT_TRUE(out.intact());
    Tensor dense = Tensor::empty({M, N});
    for (i64 m = 0; m < M; ++m)
      for (i64 n = 0; n < ldc; ++n) {
        if (n < N)
          dense.f32()[m * N + n] = out.inner.f32()[m * ldc + n];
        else
          EXPECT_EQ(out.inner.f32()[m * ldc + n], Fenced::kFence) << "written beside row " << m;
      }
    return dense;
  }
  Tensor documented_c(Result result, bool with_bias) const {
    Tensor out = Tensor::empty({M, N});
    std::vector<float> row, column(static_cast<std::size_t>(K));
    for (i64 m = 0; m < M; ++m) {
      row.assign(a.f32() + m * K, a.f32() + (m + 1) * K);
      for (i64 n = 0; n < N; ++n) {
        for (i64 k = 0; k < K; ++k) column[static_cast<std::size_t>(k)] = b.f32()[k * N + n];
        out.f32()[m * N + n] =
            documented(row, column, c.f32()[m * N + n], result, with_bias ? bias.f32()[n] : 0.0f);
      }
    }
    return out;
  }
};

TEST(Gemm, BitsAreTheDocumentedSumOnEveryTierInEveryLayout) {
  for_each_isa([] {
    for (const Case& x : {Case(1, 1, 1),
                          Case(1, 17, 385, 3),
                          Case(5, 33, 384),
                          Case(7, 3, 769, 1),
                          Case(24, 16, 31),
                          Case(25, 35, 400, 5),
                          Case(49, 65, 100),
                          Case(53, 130, 13, 2)}) {
      SCOPED_TRACE(fmt::format("{}x{}x{}", x.M, x.N, x.K));
      for (const Result result : {Result::write, Result::add})
        for (const bool with_bias : {false, true}) {
          const Tensor want = x.documented_c(result, with_bias);
          for (const Layout layout : {Layout::plain, Layout::transposed})
            for (const From from : {From::plain, From::transposed, From::columns, From::rows})
              ASSERT_TRUE(identical(x.run(layout, from, result, with_bias), want))
                  << "A " << static_cast<int>(layout) << " B " << static_cast<int>(from) << " add "
                  << static_cast<int>(result) << " bias " << with_bias;
        }
    }
  });
}

TEST(Gemm, EveryHeightAndWidthAroundTheRegisterTile) {
  for_each_isa([] {
    for (i64 M = 1; M <= 26; ++M)
      for (const i64 N : {1, 2, 7, 8, 9, 15, 16, 31, 32, 33, 63, 66}) {
        const Case x(M, N, 19);
        const Tensor want = x.documented_c(Result::add, true);
        ASSERT_TRUE(identical(x.run(Layout::plain, From::transposed, Result::add, true), want))
            << M << " " << N;
      }
  });
}

TEST(Gemm, SameBitsForAnyThreadCountAndAnyNumberOfRows) {
  for_each_isa([] {
    const Case x(201, 147, 801, 1);
    set_threads(1);
    const Tensor want = x.run(Layout::plain, From::transposed, Result::add, true);
    for_each_thread_count([&] {
      for (const Layout layout : {Layout::plain, Layout::transposed})
        EXPECT_TRUE(identical(x.run(layout, From::columns, Result::add, true), want));
      for (const i64 rows : {1, 2, 3, 11, 24, 25, 48, 49, 100}) {
        const i64 first = 201 - rows;
        Tensor some = x.c.rows(first, 201).clone();
        gemm(rows,
             x.N,
             x.K,
             {x.a.f32() + first * x.K, x.K},
             {.data = x.b.f32(),
              .stride = x.N,
              .layout = Layout::plain,
              .decode_columns = {},
              .decode_rows = {}},
             some.f32(),
             x.N,
             Result::add,
             x.bias.f32());
        EXPECT_TRUE(identical(some, want.rows(first, 201))) << rows << " rows";
      }
    });
  });
}

TEST(Gemm, TiersWithFusedMultiplyAddGiveEqualBits) {
  const Case x(33, 70, 500);
  Tensor first_fused, first_rounded;
  for_each_isa([&] {
    const Tensor got = x.run(Layout::plain, From::plain, Result::write, false);
    Tensor& want = fused() ? first_fused : first_rounded;
    if (!want.defined()) want = got;
    EXPECT_TRUE(identical(got, want));
  });
}

TEST(Gemm, IsWithinItsRoundingErrorOfADoubleSum) {
  for_each_isa([] {
    const Case x(40, 50, 3000);
    const Tensor got = x.run(Layout::plain, From::plain, Result::write, true);
    for (i64 m = 0; m < x.M; ++m)
      for (i64 n = 0; n < x.N; ++n) {
        double sum = x.bias.f32()[n], size = 1;
        for (i64 k = 0; k < x.K; ++k) {
          const double product = static_cast<double>(x.a.f32()[m * x.K + k]) * x.b.f32()[k * x.N + n];
          sum += product;
          size += std::fabs(product);
        }
        ASSERT_NEAR(got.f32()[m * x.N + n], sum, size * 4e-7) << m << " " << n;
      }
  });
}

TEST(Gemm, InfinityAndNanReachOnlyTheirOwnRowsAndColumns) {
  for_each_isa([] {
    Case x(26, 37, 390);
    x.a.f32()[3 * x.K + 389] = INFINITY;
    x.b.f32()[5 * x.N + 36] = NAN;
    const Tensor got = x.run(Layout::plain, From::columns, Result::write, false);
    for (i64 m = 0; m < x.M; ++m)
      for (i64 n = 0; n < x.N; ++n)
        EXPECT_EQ(std::isfinite(got.f32()[m * x.N + n]), m != 3 && n != 36) << m << " " << n;
  });
}

TEST(Gemm, NoRowsOrColumnsTouchNothingAndAnEmptySumIsRefused) {
  float c = 7, a = 1;
  const GemmB b{.data = &a, .stride = 1, .layout = Layout::plain, .decode_columns = {}, .decode_rows = {}};
  gemm(0, 1, 1, {&a, 1}, b, &c, 1, Result::write);
  gemm(1, 0, 1, {&a, 1}, b, &c, 1, Result::write);
  EXPECT_EQ(c, 7);
  EXPECT_THROW(gemm(1, 1, 0, {&a, 1}, b, &c, 1, Result::write), Error);
}

TEST(Gemm, AFailingDecoderReachesTheCaller) {
  const Case x(60, 600, 400);
  Tensor c = Tensor::zeros({60, 600});
  GemmB b;
  b.decode_columns = [](i64 n0, i64, i64, i64, float*, i64) {
    if (n0 >= 64) throw job_error("decoder failed");
  };
  for (const i64 rows : {1, 60})
    for_each_thread_count([&] {
      EXPECT_THROW(gemm(rows, 600, 400, {x.a.f32(), 400}, b, c.f32(), 600, Result::write), Error);
    });
}

}  // namespace
}  // namespace pare
