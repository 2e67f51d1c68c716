#include "compress/rotation.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "ref/ops.h"

namespace pare {
namespace {

constexpr double kError = 1e-13;

Tensor normal64(const Shape& shape, u64 seed) {
  const Tensor x = ref::normal(shape, seed);
  Tensor out = Tensor::empty(shape, DType::f64);
  std::copy_n(x.f32(), x.count(), out.data<double>());
  return out;
}

/// a (m, k) · b (k, n)
Tensor product(const Tensor& a, const Tensor& b) {
  const i64 m = a.dim(0), k = a.dim(1), n = b.dim(1);
  Tensor c = Tensor::zeros({m, n}, DType::f64);
  for (i64 i = 0; i < m; ++i)
    for (i64 j = 0; j < n; ++j)
      for (i64 e = 0; e < k; ++e)
        c.data<double>()[i * n + j] += a.data<double>()[i * k + e] * b.data<double>()[e * n + j];
  return c;
}
Tensor transposed(const Tensor& a) {
  Tensor t = Tensor::empty({a.dim(1), a.dim(0)}, DType::f64);
  for (i64 i = 0; i < a.dim(0); ++i)
    for (i64 j = 0; j < a.dim(1); ++j)
      t.data<double>()[j * a.dim(0) + i] = a.data<double>()[i * a.dim(1) + j];
  return t;
}
double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (i64 i = 0; i < a.count(); ++i)
    worst = std::max(worst, std::abs(a.data<double>()[i] - b.data<double>()[i]));
  return worst;
}

std::vector<Rotation> all_kinds(i64 n) {
  std::vector<Rotation> out = {Rotation::identity(n),
                               Rotation::hadamard(n),
                               Rotation::random(n, Rng(1, 2)),
                               Rotation::fixing_ones(n, Rng(1, 3))};
  out.push_back(Rotation::of(out[2].matrix()));
  return out;
}

TEST(Rotation, EveryKindIsOrthogonalAndAppliesItsMatrix) {
  for (const i64 n : {1, 7, 12, 24, 64, 76, 92, 172, 192})
    for (const Rotation& q : all_kinds(n)) {
      const Tensor m = q.matrix();
      EXPECT_LE(largest_difference(product(m, transposed(m)), Rotation::identity(n).matrix()), kError) << n;
      Tensor x = normal64({70, n}, 4);
      const Tensor want = product(x, m);
      q.apply(x);
      EXPECT_LE(largest_difference(x, want), 10 * kError) << n;
    }
}

TEST(Rotation, MeansOfRowsStayWhereOnesAreFixed) {
  for (const i64 n : {12, 64, 172, 896}) {
    Tensor ones = Tensor::empty({1, n}, DType::f64);
    std::fill_n(ones.data<double>(), n, 1.0);
    Tensor turned = ones.clone();
    const Rotation q = Rotation::fixing_ones(n, Rng(5));
    q.apply(turned);
    EXPECT_LE(largest_difference(turned, ones), kError * 10);
    // It is no identity: an outlier is spread.
    Tensor outlier = Tensor::zeros({1, n}, DType::f64);
    outlier.data<double>()[3] = 1;
    q.apply(outlier);
    if (n != 172) EXPECT_LT(std::abs(outlier.data<double>()[3]), 0.9);
  }
}

TEST(Rotation, SignsComeFromTheStream) {
  const Tensor a = Rotation::random(64, Rng(1, 1)).matrix(), again = Rotation::random(64, Rng(1, 1)).matrix(),
               other = Rotation::random(64, Rng(1, 2)).matrix(),
               seed = Rotation::random(64, Rng(2, 1)).matrix();
  EXPECT_EQ(largest_difference(a, again), 0);
  EXPECT_GT(largest_difference(a, other), 0.1);
  EXPECT_GT(largest_difference(a, seed), 0.1);
}

TEST(Rotation, RowsAndColumnsTurnBlockByBlock) {
  const std::vector<Rotation> blocks = {
      Rotation::random(12, Rng(1)), Rotation::random(4, Rng(2)), Rotation::random(8, Rng(3))};
  Tensor whole = Tensor::zeros({24, 24}, DType::f64);
  i64 at = 0;
  for (const Rotation& q : blocks) {
    const Tensor m = q.matrix();
    for (i64 i = 0; i < q.size(); ++i)
      for (i64 j = 0; j < q.size(); ++j)
        whole.data<double>()[(at + i) * 24 + at + j] = m.data<double>()[i * q.size() + j];
    at += q.size();
  }
  const Tensor w = normal64({5, 24}, 1), v = normal64({24, 5}, 2);
  Tensor columns = w.clone(), rows = v.clone();
  rotate_columns(columns, blocks);
  rotate_rows(rows, blocks);
  EXPECT_LE(largest_difference(columns, product(w, whole)), kError);
  EXPECT_LE(largest_difference(rows, product(transposed(whole), v)), kError);
  EXPECT_THROW(rotate_columns(rows, blocks), Error);
  EXPECT_THROW(rotate_rows(columns, blocks), Error);
}

TEST(Rotation, TheSameBitsForAnyThreads) {
  const Rotation q = Rotation::of(Rotation::random(96, Rng(1)).matrix());
  Tensor want = normal64({300, 96}, 1);
  q.apply(want);
  for (const int count : {1, 2, 3, 8}) {
    set_threads(count);
    Tensor x = normal64({300, 96}, 1);
    q.apply(x);
    EXPECT_EQ(largest_difference(x, want), 0) << count;
  }
  set_threads(0);
}

}  // namespace
}  // namespace pare
