#include "compress/stiefel.h"

#include <Eigen/Dense>
#include <Eigen/LU>
#include <cmath>

namespace pare {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> matrix(const Tensor& t) { return {t.data<double>(), t.dim(0), t.dim(1)}; }

Tensor tensor(const RowMajor& m) {
  Tensor t = Tensor::empty({m.rows(), m.cols()}, DType::f64);
  Eigen::Map<RowMajor>(t.data<double>(), m.rows(), m.cols()) = m;
  return t;
}

void expect_square(const char* what, const Tensor& t) {
  const auto [n, columns] = dims<2>(what, t, DType::f64);
  expect(what, t, {n, n}, DType::f64);
}

}  // namespace

Tensor descent_direction(const Tensor& r, const Tensor& gradient) {
  expect_square("descent_direction r", r);
  expect("descent_direction gradient", gradient, r.shape(), DType::f64);
  const auto R = matrix(r);
  const RowMajor v = -matrix(gradient) * R.transpose();  // V·Rᵀ
  // R·(RᵀV)·Rᵀ = V·Rᵀ for a square R, so half of it remains.
  return tensor(0.5 * (v - v.transpose()));
}

void keep_ones(Tensor& a) {
  expect_square("keep_ones", a);
  const i64 n = a.dim(0);
  Eigen::Map<RowMajor> m(a.data<double>(), n, n);
  const Eigen::VectorXd means = m.rowwise().mean();  // of columns: the opposite; their mean: 0
  m.colwise() -= means;
  m.rowwise() += means.transpose();
}

double mean_angle(const Tensor& a) { return matrix(a).norm() / std::sqrt(static_cast<double>(a.dim(0))); }

Tensor cayley_step(const Tensor& r, const Tensor& a, double alpha) {
  expect_square("cayley_step r", r);
  expect("cayley_step a", a, r.shape(), DType::f64);
  const RowMajor half = alpha / 2 * matrix(a), one = RowMajor::Identity(r.dim(0), r.dim(0));
  return tensor((one - half).partialPivLu().solve((one + half) * matrix(r)));
}

}  // namespace pare
