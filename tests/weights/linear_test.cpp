// The one product over every weight format: equal to a double reference on the decoded weights, and a row's
// bits know nothing of the rows beside it, the threads, or how the weight is packed.
#include "weights/linear.h"

#include <cmath>

#include "backends.h"
#include "ref/ops.h"
#include "weights/all_weights.h"
#include "weights/low_rank.h"

namespace pare {
namespace {

using ref::normal;

constexpr i64 kRows[] = {1, 2, 3, 5, 8, 17, 64};
struct OutIn {
  i64 N, K;
};
constexpr OutIn kShapes[] = {{1, 1}, {3, 64}, {37, 33}, {100, 385}, {35, 777}, {18, 512}};

TEST(Linear, KnowsEveryFormat) {
  std::vector<std::string> names;
  for (const Weight& w : all_weights(4, 64)) {
    const json options = w.format().options();
    names.push_back(options.is_object() && options.contains("format") ? options["format"].get<std::string>()
                                                                      : "dense");
  }
  for (const WeightFormatInfo& f : weight_formats())
    EXPECT_NE(std::find(names.begin(), names.end(), f.name), names.end()) << f.name << " is not tested here";
}

TEST(Linear, EveryFormatEqualsTheDoubleReferenceOnItsDecodedWeights) {
  for (const auto [N, K] : kShapes) {
    const i64 M = 17;
    const Tensor x = normal({M, K}, 1), bias = normal({N}, 2);
    for (const Weight& w : all_weights(N, K)) {
      SCOPED_TRACE(fmt::format("{} {}x{}", w.format().name(), N, K));
      const Tensor d = w.decode_all();
      // A low-rank part is added to what may cancel it, and its product rounds once more on the way.
      const double tolerance = low_rank_of(w) ? 4e-6 : 1e-6;
      for_each_isa([&, N = N, K = K] {
        Tensor y = Tensor::empty({M, N}), sum = normal({M, N}, 3);
        const Tensor before = sum.clone();
        linear(x, w, bias, y);
        linear_add(x, w, Tensor(), sum);
        for (i64 m = 0; m < M; ++m)
          for (i64 n = 0; n < N; ++n) {
            double want = 0, size = 1;
            for (i64 k = 0; k < K; ++k) {
              const double p = static_cast<double>(x.f32()[m * K + k]) * d.f32()[n * K + k];
              want += p;
              size += std::fabs(p);
            }
            const i64 at = m * N + n;
            ASSERT_NEAR(y.f32()[at], want + bias.f32()[n], tolerance * size);
            ASSERT_NEAR(sum.f32()[at], want + before.f32()[at], tolerance * size);
          }
      });
    }
  }
}

TEST(Linear, PackedWeightsGiveTheBitsOfTheirDecodedCopy) {
  for (const auto [N, K] : kShapes)
    for (const Weight& w : all_weights(N, K)) {
      if (low_rank_of(w)) continue;  // three products in place of one
      const Weight decoded(w.decode_all());
      for_each_isa([&, N = N, K = K] {
        for (const i64 M : {1, 5, 64}) {
          const Tensor x = normal({M, K}, 4), dy = normal({M, N}, 5);
          Tensor y = Tensor::empty({M, N}), want_y = y.clone(), dx = Tensor::empty({M, K}),
                 want_dx = dx.clone();
          linear(x, w, Tensor(), y);
          linear(x, decoded, Tensor(), want_y);
          linear_backward_input(dy, w, dx);
          linear_backward_input(dy, decoded, want_dx);
          ASSERT_TRUE(identical(y, want_y)) << w.format().name() << " " << M << "x" << N << "x" << K;
          ASSERT_TRUE(identical(dx, want_dx)) << w.format().name() << " " << M << "x" << N << "x" << K;
        }
      });
    }
}

TEST(Linear, ARowsBitsDependOnNothingButTheRow) {
  for (const auto [N, K] : kShapes)
    for (const Weight& w : all_weights(N, K)) {
      SCOPED_TRACE(fmt::format("{} {}x{}", w.format().name(), N, K));
      const Tensor x = normal({64, K}, 6), dy = normal({64, N}, 7), bias = normal({N}, 8);
      for_each_isa([&, N = N, K = K] {
        Tensor y = Tensor::empty({64, N}), dx = Tensor::empty({64, K});
        set_threads(1);
        for (i64 m = 0; m < 64; ++m) {  // one row at a time on one thread: decoding
          Tensor row = y.rows(m, m + 1), drow = dx.rows(m, m + 1);
          linear(x.rows(m, m + 1), w, bias, row);
          linear_backward_input(dy.rows(m, m + 1), w, drow);
        }
        for (const int count : {1, 2, 3}) {
          set_threads(count);
          for (const i64 M : kRows) {
            const i64 first = (64 - M) / 2;  // anywhere in the batch
            Tensor some = Tensor::empty({M, N}), dsome = Tensor::empty({M, K});
            linear(x.rows(first, first + M), w, bias, some);
            linear_backward_input(dy.rows(first, first + M), w, dsome);
            ASSERT_TRUE(identical(some, y.rows(first, first + M))) << M << " rows, " << count << " threads";
            ASSERT_TRUE(identical(dsome, dx.rows(first, first + M))) << M << " rows, " << count << " threads";
          }
        }
        set_threads(0);
      });
    }
}

TEST(Linear, BackwardProductsEqualTheDoubleReference) {
  for (const auto [N, K] : kShapes)
    for (const i64 M : kRows) {
      SCOPED_TRACE(fmt::format("{}x{}x{}", M, N, K));
      const Tensor x = normal({M, K}, 9), dy = normal({M, N}, 10), start = normal({M, K}, 11);
      const Weight w = quantize_int_group(normal({N, K}, 12), {4, 32, false});
      const Tensor d = w.decode_all();
      const Tensor dw0 = normal({N, K}, 13), db0 = normal({N}, 14);
      for_each_isa([&, N = N, K = K] {
        Tensor dx = Tensor::empty({M, K}), dx_add = start.clone(), dw = dw0.clone(), db = db0.clone();
        linear_backward_input(dy, w, dx);
        linear_backward_input_add(dy, w, dx_add);
        linear_backward_weight(dy, x, dw, db);
        for (i64 m = 0; m < M; ++m)
          for (i64 k = 0; k < K; ++k) {
            double want = 0;
            for (i64 n = 0; n < N; ++n) want += static_cast<double>(dy.f32()[m * N + n]) * d.f32()[n * K + k];
            ASSERT_NEAR(dx.f32()[m * K + k], want, 2e-5);
            ASSERT_NEAR(dx_add.f32()[m * K + k], want + start.f32()[m * K + k], 2e-5);
          }
        for (i64 n = 0; n < N; ++n) {
          double want_b = db0.f32()[n];
          for (i64 m = 0; m < M; ++m) want_b += dy.f32()[m * N + n];
          ASSERT_NEAR(db.f32()[n], want_b, 2e-5);
          for (i64 k = 0; k < K; ++k) {
            double want = dw0.f32()[n * K + k];
            for (i64 m = 0; m < M; ++m) want += static_cast<double>(dy.f32()[m * N + n]) * x.f32()[m * K + k];
            ASSERT_NEAR(dw.f32()[n * K + k], want, 2e-5);
          }
        }
      });
    }
}

TEST(Linear, BackwardThroughALowRankPartEqualsTheDoubleReference) {
  for (const auto [N, K] : kShapes)
    for (const Weight& w : low_rank_weights(normal({N, K}, 25))) {
      SCOPED_TRACE(fmt::format("{} {}x{}", w.format().name(), N, K));
      const i64 M = 17;
      const Tensor dy = normal({M, N}, 26), start = normal({M, K}, 27), d = w.decode_all();
      for_each_isa([&, N = N, K = K] {
        Tensor dx = Tensor::empty({M, K}), dx_add = start.clone();
        linear_backward_input(dy, w, dx);
        linear_backward_input_add(dy, w, dx_add);
        for (i64 m = 0; m < M; ++m)
          for (i64 k = 0; k < K; ++k) {
            double want = 0, size = 1;
            for (i64 n = 0; n < N; ++n) {
              const double p = static_cast<double>(dy.f32()[m * N + n]) * d.f32()[n * K + k];
              want += p, size += std::fabs(p);
            }
            ASSERT_NEAR(dx.f32()[m * K + k], want, 4e-6 * size);
            ASSERT_NEAR(dx_add.f32()[m * K + k], want + start.f32()[m * K + k], 4e-6 * size);
          }
      });
    }
}

TEST(Linear, GradientsOfWeightsAreTheSameForAnyThreadCountAndMayLeaveTheBiasOut) {
  const Tensor x = normal({403, 77}, 15), dy = normal({403, 131}, 16);
  for_each_isa([&] {
    Tensor want_w = Tensor::zeros({131, 77}), want_b = Tensor::zeros({131});
    set_threads(1);
    linear_backward_weight(dy, x, want_w, want_b);
    for_each_thread_count([&] {
      Tensor dw = Tensor::zeros({131, 77}), db = Tensor::zeros({131}), none;
      linear_backward_weight(dy, x, dw, db);
      EXPECT_TRUE(identical(dw, want_w));
      EXPECT_TRUE(identical(db, want_b));
      dw.zero();
      linear_backward_weight(dy, x, dw, none);
      EXPECT_TRUE(identical(dw, want_w));
    });
  });
}

TEST(Linear, ShapesThatDoNotFitAreBugsThatNameThem) {
  const Weight w(normal({5, 7}, 17));
  Tensor y = Tensor::zeros({2, 5}), bad = Tensor::zeros({2, 6}), none;
  const Tensor x = Tensor::zeros({2, 7}), wide = Tensor::zeros({2, 8});
  const auto expect_bug = [](auto&& body, const std::string& part) {
    try {
      body();
      ADD_FAILURE() << "accepted: " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::bug);
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  expect_bug([&] { linear(wide, w, Tensor(), y); }, "x is (2, 8), W is (5, 7)");
  expect_bug([&] { linear(x, w, Tensor(), bad); }, "found f32 (2, 6), expected f32 (2, 5)");
  expect_bug([&] { linear(x, w, Tensor::zeros({4}), y); }, "linear bias");
  expect_bug([&] { linear_backward_input(bad, w, y); }, "dy is (2, 6)");
  expect_bug([&] { linear_backward_weight(y, x, bad, none); }, "linear dw");
}

}  // namespace
}  // namespace pare
