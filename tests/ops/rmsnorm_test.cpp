#include "ops/rmsnorm.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr float kEps = 1e-5f;
constexpr double kError = 3e-6;  // a mean of D squares and four roundings

struct Inputs {
  Inputs(i64 N, i64 D)
      : x(ref::normal({N, D}, 1)), w(ref::normal({D}, 2, 0.3, 1.0)), dy(ref::normal({N, D}, 3)) {}
  Tensor x, w, dy;
};
struct Results {
  explicit Results(const Inputs& in)
      : y(in.x.shape()), dx(in.x.shape()), r(Shape{in.x.dim(0)}), dw(Tensor::zeros(in.w.shape())) {
    rmsnorm(in.x, in.w, kEps, y.inner, r.inner);
    rmsnorm_backward(in.dy, in.x, in.w, r.inner, dx.inner, dw);
  }
  Fenced y, dx, r;
  Tensor dw;
};

TEST(Rmsnorm, ForwardAndGradientsEqualTheReferenceForAnyWidth) {
  for (const i64 D : odd_lengths()) {
    const Inputs in(3, D);
    const ref::Doubles x = ref::doubles(in.x), w = ref::doubles(in.w), dy = ref::doubles(in.dy);
    const ref::Doubles y = ref::rmsnorm(x, w, kEps);
    const auto loss = [&](const ref::Doubles& x, const ref::Doubles& w) {
      return ref::dot(dy, ref::rmsnorm(x, w, kEps));
    };
    const ref::Doubles dx = ref::central_differences(x, [&](const ref::Doubles& at) { return loss(at, w); });
    const ref::Doubles dw = ref::central_differences(w, [&](const ref::Doubles& at) { return loss(x, at); });
    for_each_isa([&] {
      SCOPED_TRACE(D);
      const Results got(in);
      expect_close("y", got.y.inner, y, kError);
      expect_close(
          "dx", got.dx.inner, dx, D == 1 ? 1e-4 : 1e-5);  // one column: y is x/|x|, and dx all cancellation
      expect_close("dw", got.dw, dw, kError);
      EXPECT_TRUE(got.y.intact() && got.dx.intact() && got.r.intact());
    });
  }
}

TEST(Rmsnorm, TheSameBitsForAnyThreadsAndAnyRowPosition) {
  const Inputs in(200, 100);
  const Results all(in);
  for_each_thread_count([&] {
    const Results again(in);
    EXPECT_TRUE(identical(again.y.inner, all.y.inner) && identical(again.r.inner, all.r.inner));
    EXPECT_TRUE(identical(again.dx.inner, all.dx.inner) && identical(again.dw, all.dw));
  });
  for (const i64 n : {0, 1, 77, 199}) {
    Inputs one(1, 100);
    one.x = in.x.rows(n, n + 1), one.dy = in.dy.rows(n, n + 1);
    const Results alone(one);
    EXPECT_TRUE(identical(alone.y.inner, all.y.inner.rows(n, n + 1)));
    EXPECT_TRUE(identical(alone.dx.inner, all.dx.inner.rows(n, n + 1)));
  }
}

TEST(Rmsnorm, WorksInPlaceAndAddsToDw) {
  Inputs in(70, 33);
  const Results want(in);
  Tensor dw = ref::normal({33}, 9), before = dw.clone(), r = want.r.inner, dx = in.dy.clone();
  rmsnorm_backward(dx, in.x, in.w, r, dx, dw);
  EXPECT_TRUE(identical(dx, want.dx.inner));
  for (i64 d = 0; d < 33; ++d) EXPECT_NEAR(dw.f32()[d] - before.f32()[d], want.dw.f32()[d], 1e-5);
  rmsnorm(in.x, in.w, kEps, in.x, r);
  EXPECT_TRUE(identical(in.x, want.y.inner));
}

TEST(Rmsnorm, ARowOfZerosStaysZero) {
  Inputs in(2, 40);
  in.x.zero();
  const Results got(in);
  for (i64 i = 0; i < 80; ++i) EXPECT_EQ(got.y.inner.f32()[i], 0.0f);
  EXPECT_NEAR(got.r.inner.f32()[0], 1 / std::sqrt(kEps), 1e-3);
}

TEST(Rmsnorm, RefusesWrongShapes) {
  const Inputs in(4, 8);
  Tensor y = Tensor::empty({4, 8}), r = Tensor::empty({4}), short_r = Tensor::empty({3}),
         wide = Tensor::empty({4, 9});
  EXPECT_THROW(rmsnorm(in.x, in.w, kEps, wide, r), Error);
  EXPECT_THROW(rmsnorm(in.x, in.w, kEps, y, short_r), Error);
  EXPECT_THROW(rmsnorm(in.x, in.x, kEps, y, r), Error);
  EXPECT_THROW(rmsnorm_backward(in.dy, in.x, in.w, r, wide, y), Error);
}

}  // namespace
}  // namespace pare
