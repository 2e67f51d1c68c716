// Plain products equal those in double, in either layout, of parts of matrices and added to what is there.
#include "ops/multiply.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>

#include "ref/ops.h"

namespace pare {
namespace {

Eigen::MatrixXd f64(const Tensor& t) {
  Eigen::MatrixXd m(t.dim(0), t.dim(1));
  for (i64 i = 0; i < t.count(); ++i) m(i / t.dim(1), i % t.dim(1)) = t.f32()[i];
  return m;
}

TEST(Multiply, ProductsOfEitherLayoutAreTheReferences) {
  const Tensor a = ref::normal({5, 7}, 2), b = ref::normal({7, 3}, 3), bt = ref::normal({3, 7}, 4);
  const Tensor at = ref::normal({7, 5}, 5);
  const auto expect_same = [](const Tensor& got, const Eigen::MatrixXd& want) {
    EXPECT_LT((f64(got) - want).cwiseAbs().maxCoeff(), 1e-5);
  };
  expect_same(multiplied(a, Layout::plain, b, Layout::plain), f64(a) * f64(b));
  expect_same(multiplied(a, Layout::plain, bt, Layout::transposed), f64(a) * f64(bt).transpose());
  expect_same(multiplied(at, Layout::transposed, b, Layout::plain), f64(at).transpose() * f64(b));
}

TEST(Multiply, PartsOfMatricesAreAddedWhereTheyBelong) {
  const Tensor a = ref::normal({5, 7}, 2), b = ref::normal({9, 4}, 3), before = ref::normal({5, 6}, 4);
  Tensor c = before.clone();
  // Columns 2 to 4 of A with rows 1 to 3 of B, onto columns 1 to 4 of C.
  multiply(5, 4, 3, {a.f32() + 2, 7}, {b.f32() + 4, 4}, c.f32() + 1, 6, Result::add);
  Eigen::MatrixXd want = f64(before);
  want.block(0, 1, 5, 4) += f64(a).block(0, 2, 5, 3) * f64(b).block(1, 0, 3, 4);
  EXPECT_LT((f64(c) - want).cwiseAbs().maxCoeff(), 1e-5);
}

}  // namespace
}  // namespace pare
