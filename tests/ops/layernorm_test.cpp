#include "ops/layernorm.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

constexpr float kEps = 1e-5f;
constexpr double kError = 5e-6;

struct Inputs {
  Inputs(i64 N, i64 D)
      : x(ref::normal({N, D}, 1, 1.0, 0.5)),
        w(ref::normal({D}, 2, 0.3, 1.0)),
        b(ref::normal({D}, 3)),
        dy(ref::normal({N, D}, 4)) {}
  Tensor x, w, b, dy;
};
struct Results {
  explicit Results(const Inputs& in)
      : y(in.x.shape()),
        dx(in.x.shape()),
        m(Shape{in.x.dim(0)}),
        r(Shape{in.x.dim(0)}),
        dw(Tensor::zeros(in.w.shape())),
        db(Tensor::zeros(in.w.shape())) {
    layernorm(in.x, in.w, in.b, kEps, y.inner, m.inner, r.inner);
    layernorm_backward(in.dy, in.x, in.w, m.inner, r.inner, dx.inner, dw, db);
  }
  Fenced y, dx, m, r;
  Tensor dw, db;
};

TEST(Layernorm, ForwardAndGradientsEqualTheReferenceForAnyWidth) {
  for (const i64 D : odd_lengths()) {
    if (D < 3) continue;  // the output does not depend on the size of x, only its signs
    const Inputs in(3, D);
    const ref::Doubles x = ref::doubles(in.x), w = ref::doubles(in.w), b = ref::doubles(in.b),
                       dy = ref::doubles(in.dy);
    const ref::Doubles y = ref::layernorm(x, w, b, kEps);
    const auto slope = [&](const ref::Doubles& at, const auto& y_of) {
      return ref::central_differences(at, [&](const ref::Doubles& x) { return ref::dot(dy, y_of(x)); });
    };
    const ref::Doubles dx = slope(x, [&](const ref::Doubles& at) { return ref::layernorm(at, w, b, kEps); });
    const ref::Doubles dw = slope(w, [&](const ref::Doubles& at) { return ref::layernorm(x, at, b, kEps); });
    const ref::Doubles db = slope(b, [&](const ref::Doubles& at) { return ref::layernorm(x, w, at, kEps); });
    for_each_isa([&] {
      SCOPED_TRACE(D);
      const Results got(in);
      expect_close("y", got.y.inner, y, kError);
      expect_close("dx", got.dx.inner, dx, 5e-5);  // differences of nearly equal terms when D is small
      expect_close("dw", got.dw, dw, kError);
      expect_close("db", got.db, db, kError);
      EXPECT_TRUE(got.y.intact() && got.dx.intact() && got.m.intact() && got.r.intact());
    });
  }
}

TEST(Layernorm, TheSameBitsForAnyThreadsAndAnyRowPosition) {
  const Inputs in(200, 100);
  const Results all(in);
  for_each_thread_count([&] {
    const Results again(in);
    EXPECT_TRUE(identical(again.y.inner, all.y.inner) && identical(again.dx.inner, all.dx.inner));
    EXPECT_TRUE(identical(again.dw, all.dw) && identical(again.db, all.db));
  });
  Inputs one(1, 100);
  one.x = in.x.rows(77, 78), one.dy = in.dy.rows(77, 78);
  const Results alone(one);
  EXPECT_TRUE(identical(alone.y.inner, all.y.inner.rows(77, 78)));
  EXPECT_TRUE(identical(alone.dx.inner, all.dx.inner.rows(77, 78)));
}

TEST(Layernorm, ALargeMeanDoesNotDrownTheVariance) {
  Inputs in(2, 64);
  for (i64 i = 0; i < in.x.count(); ++i) in.x.f32()[i] += 1000.0f;
  const ref::Doubles y = ref::layernorm(ref::doubles(in.x), ref::doubles(in.w), ref::doubles(in.b), kEps);
  expect_close("y", Results(in).y.inner, y, 5e-4);  // the mean of 1000 is rounded to 6e-5
}

TEST(Layernorm, WorksInPlaceAndAddsToParameters) {
  Inputs in(70, 33);
  const Results want(in);
  Tensor dw = ref::normal({33}, 9), db = ref::normal({33}, 10), dx = in.dy.clone();
  const Tensor dw_before = dw.clone(), db_before = db.clone();
  layernorm_backward(dx, in.x, in.w, want.m.inner, want.r.inner, dx, dw, db);
  EXPECT_TRUE(identical(dx, want.dx.inner));
  for (i64 d = 0; d < 33; ++d) {
    EXPECT_NEAR(dw.f32()[d] - dw_before.f32()[d], want.dw.f32()[d], 1e-5);
    EXPECT_NEAR(db.f32()[d] - db_before.f32()[d], want.db.f32()[d], 1e-5);
  }
  Tensor m = want.m.inner, r = want.r.inner;
  layernorm(in.x, in.w, in.b, kEps, in.x, m, r);
  EXPECT_TRUE(identical(in.x, want.y.inner));
}

TEST(Layernorm, RefusesWrongShapes) {
  const Inputs in(4, 8);
  Tensor y = Tensor::empty({4, 8}), m = Tensor::empty({4}), r = Tensor::empty({4}),
         wrong = Tensor::empty({3});
  EXPECT_THROW(layernorm(in.x, in.w, wrong, kEps, y, m, r), Error);
  EXPECT_THROW(layernorm(in.x, in.w, in.b, kEps, y, wrong, r), Error);
  Tensor dx = Tensor::empty({4, 8}), dw = Tensor::empty({8}), db = Tensor::empty({8});
  EXPECT_THROW(layernorm_backward(in.dy, in.x, in.w, wrong, r, dx, dw, db), Error);
  EXPECT_THROW(layernorm_backward(in.dy, in.x, in.w, m, wrong, dx, dw, db), Error);
  EXPECT_THROW(layernorm_backward(in.dy, in.x, in.w, m, r, dx, dw, wrong), Error);
}

}  // namespace
}  // namespace pare
