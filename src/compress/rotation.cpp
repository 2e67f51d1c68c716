#include "compress/rotation.h"

#include <Eigen/Dense>
#include <algorithm>

#include "base/threads.h"
#include "ops/hadamard.h"

namespace pare {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<RowMajor>;
using ConstView = Eigen::Map<const RowMajor>;

Tensor random_signs(i64 n, Rng& rng) {
  Tensor s = Tensor::empty({n});
  for (i64 i = 0; i < n; ++i) s.f32()[i] = rng.next_u32() & 1 ? 1.0f : -1.0f;
  return s;
}

/// By pieces of fixed size, so that the order of the sums does not depend on the threads.
void multiply(Tensor& x, const Tensor& q) {
  constexpr i64 kRows = 64;
  const i64 n = q.dim(0), rows = x.dim(0);
  parallel_tasks((rows + kRows - 1) / kRows, [&](i64 piece) {
    View part(x.data<double>() + piece * kRows * n, std::min(kRows, rows - piece * kRows), n);
    part = (part * ConstView(q.data<double>(), n, n)).eval();
  });
}

Tensor transposed(const Tensor& x) {
  const i64 rows = x.dim(0), columns = x.dim(1);
  Tensor out = Tensor::empty({columns, rows}, DType::f64);
  View(out.data<double>(), columns, rows) = ConstView(x.data<double>(), rows, columns).transpose();
  return out;
}

i64 total_size(std::span<const Rotation> blocks) {
  i64 n = 0;
  for (const Rotation& q : blocks) n += q.size();
  return n;
}

}  // namespace

Rotation Rotation::identity(i64 n) { return {Kind::identity, n}; }

Rotation Rotation::hadamard(i64 n) { return {Kind::hadamard, n}; }

Rotation Rotation::random(i64 n, Rng rng) {
  Rotation q(Kind::hadamard, n);
  q.signs_ = random_signs(n, rng);
  return q;
}

Rotation Rotation::fixing_ones(i64 n, Rng rng) {
  Rotation q(Kind::fixing_ones, n);
  const Hadamard& h = hadamard_matrix(n);
  q.signs_ = Tensor::empty({n});
  q.middle_ = random_signs(n, rng);
  for (i64 i = 0; i < n; ++i) {
    const i64 first = i / h.block() * h.block();
    q.signs_.f32()[i] = static_cast<float>(h.sign(first, i));
    q.middle_.f32()[first] = 1.0f;
  }
  return q;
}

Rotation Rotation::of(Tensor q) {
  const auto [n, columns] = dims<2>("rotation", q, DType::f64);
  if (n != columns) throw bug("rotation: a matrix of {}", q.shape().text());
  Rotation out(Kind::dense, n);
  out.dense_ = std::move(q);
  return out;
}

void Rotation::apply(Tensor& x) const {
  const auto [rows, n] = dims<2>("rotation", x, DType::f64);
  if (n != size_) throw bug("rotation of {} inputs on rows of {}", size_, n);
  if (kind_ == Kind::identity) return;
  if (kind_ == Kind::dense) return multiply(x, dense_);
  pare::hadamard(x, signs_, x);
  if (kind_ == Kind::hadamard) return;
  double* at = x.data<double>();
  for (i64 r = 0; r < rows; ++r)
    for (i64 i = 0; i < size_; ++i, ++at) *at *= static_cast<double>(middle_.f32()[i]);
  hadamard_inverse(x, signs_, x);
}

Tensor Rotation::matrix() const {
  Tensor q = Tensor::zeros({size_, size_}, DType::f64);
  for (i64 i = 0; i < size_; ++i) q.data<double>()[i * (size_ + 1)] = 1;
  apply(q);
  return q;
}

void rotate_columns(Tensor& w, std::span<const Rotation> blocks) {
  const auto [rows, columns] = dims<2>("rotate_columns", w, DType::f64);
  if (total_size(blocks) != columns)
    throw bug("rotations of {} inputs in all, on rows of {}", total_size(blocks), columns);
  if (blocks.size() == 1) return blocks[0].apply(w);
  i64 at = 0;
  for (const Rotation& q : blocks) {
    const i64 n = q.size();
    Tensor part = Tensor::empty({rows, n}, DType::f64);
    double *inner = part.data<double>(), *outer = w.data<double>() + at;
    for (i64 r = 0; r < rows; ++r) std::copy_n(outer + r * columns, n, inner + r * n);
    q.apply(part);
    for (i64 r = 0; r < rows; ++r) std::copy_n(inner + r * n, n, outer + r * columns);
    at += n;
  }
}

void rotate_rows(Tensor& w, std::span<const Rotation> blocks) {
  const auto [rows, columns] = dims<2>("rotate_rows", w, DType::f64);
  if (total_size(blocks) != rows)
    throw bug("rotations of {} outputs in all, on {} rows", total_size(blocks), rows);
  Tensor turned = transposed(w);
  rotate_columns(turned, blocks);
  View(w.data<double>(), rows, columns) = ConstView(turned.data<double>(), columns, rows).transpose();
}

}  // namespace pare
