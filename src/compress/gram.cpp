#include "compress/gram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "ops/gemm.h"

namespace pare {
namespace {

constexpr i64 kPanel = 512;  // columns of H that are made at once: only rows above the diagonal's block

void expect_finite_rows(const std::string& what, const Tensor& x) {
  const i64 K = x.dim(1);
  parallel_rows(x.dim(0), 16, [&](i64 begin, i64 end) {
    for (i64 t = begin; t < end; ++t) {
      const float* row = x.f32() + t * K;
      const float* bad = std::find_if(row, row + K, [](float v) { return !std::isfinite(v); });
      if (bad != row + K)
        throw user_error("{}: input {} of token {} is {}; the model gives no numbers for this text",
                         what,
                         bad - row,
                         t,
                         *bad);
    }
  });
}

/// Rows times the square roots of their weights.
Tensor weighted(const Tensor& x, const Tensor& weights) {
  expect("gram weights", weights, {x.dim(0)});
  Tensor y = x.clone();
  for (i64 t = 0; t < x.dim(0); ++t) {
    const float factor = std::sqrt(weights.f32()[t]);
    for (i64 k = 0; k < x.dim(1); ++k) y.f32()[t * x.dim(1) + k] *= factor;
  }
  return y;
}

}  // namespace

Gram::Gram(i64 K)
    : K_(K), sums_(Tensor::zeros({K, K}, DType::f64)), scratch_(Tensor::empty({K, std::min(K, kPanel)})) {}

void Gram::add(const std::string& what, const Tensor& x, const Tensor& weights) {
  const auto [T, K] = dims<2>("gram", x);
  if (K != K_) throw bug("gram: rows of {}, expected {}", K, K_);
  if (T == 0) return;
  expect_finite_rows(what, x);
  const Tensor rows = weights.defined() ? weighted(x, weights) : x;
  const GemmA a{rows.f32(), K, Layout::transposed};
  double* sums = sums_.data<double>();
  for (i64 j0 = 0; j0 < K; j0 += kPanel) {
    const i64 columns = std::min(kPanel, K - j0), height = j0 + columns;
    GemmB b;
    b.data = rows.f32() + j0;
    b.stride = K;
    gemm(height, columns, T, a, b, scratch_.f32(), columns, Result::write);
    parallel_rows(height, 16, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) {
        double* to = sums + i * K_ + j0;
        const float* from = scratch_.f32() + i * columns;
        for (i64 j = std::max<i64>(0, i - j0); j < columns; ++j) to[j] += from[j];
      }
    });
  }
  tokens_ += T;
}

Tensor Gram::matrix() const {
  Tensor h = Tensor::empty({K_, K_});
  const double* sums = sums_.data<double>();
  parallel_rows(K_, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i)
      for (i64 j = 0; j < K_; ++j)
        h.f32()[i * K_ + j] = static_cast<float>(i <= j ? sums[i * K_ + j] : sums[j * K_ + i]);
  });
  return h;
}

Tensor Gram::diagonal() const {
  Tensor d = Tensor::empty({K_});
  for (i64 i = 0; i < K_; ++i) d.f32()[i] = static_cast<float>(sums_.data<double>()[i * K_ + i]);
  return d;
}

}  // namespace pare
