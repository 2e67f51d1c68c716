#include "compress/gram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "ops/multiply.h"

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
    : K_(K),
      sums_(Tensor::zeros({K, K}, DType::f64)),
      sums_abs_(Tensor::zeros({K}, DType::f64)),
      max_abs_(Tensor::zeros({K})),
      scratch_(Tensor::empty({K, std::min(K, kPanel)})) {}

Gram Gram::of_tensors(const std::string& where, const std::function<Tensor(const std::string&)>& tensor) {
  const auto take = [&](const std::string& name, DType dtype, i64 count) {
    const Tensor t = tensor(name);
    if (!t.defined() || t.dtype() != dtype || t.count() != count)
      throw user_error("{}: {} is missing or not {} ({})", where, name, dtype_name(dtype), count);
    return t;
  };
  const Tensor mean = tensor("mean_abs");
  if (!mean.defined() || mean.shape().rank() != 1) throw user_error("{}: mean_abs is missing", where);
  const i64 K = mean.count();
  Gram out(K);
  out.tokens_ = take("tokens", DType::i64, 1).data<i64>()[0];
  out.weight_ = take("weight", DType::f64, 1).data<double>()[0];
  out.max_abs_ = take("max_abs", DType::f32, K).clone();
  const float* m = take("mean_abs", DType::f32, K).f32();
  for (i64 k = 0; k < K; ++k) out.sums_abs_.data<double>()[k] = m[k] * out.weight_;
  const Tensor stored = take("h", DType::f32, K * (K + 1) / 2);
  const float* h = stored.f32();
  for (i64 i = 0; i < K; ++i)
    for (i64 j = i; j < K; ++j) out.sums_.data<double>()[i * K + j] = *h++;
  return out;
}

void Gram::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  Tensor h = Tensor::empty({K_ * (K_ + 1) / 2}), tokens = Tensor::empty({1}, DType::i64),
         weight = Tensor::empty({1}, DType::f64);
  float* to = h.f32();
  for (i64 i = 0; i < K_; ++i)
    for (i64 j = i; j < K_; ++j) *to++ = static_cast<float>(sums_.data<double>()[i * K_ + j]);
  tokens.data<i64>()[0] = tokens_;
  weight.data<double>()[0] = weight_;
  visit("h", h);
  visit("mean_abs", mean_abs());
  visit("max_abs", max_abs_);
  visit("tokens", tokens);
  visit("weight", weight);
}

void Gram::add_magnitudes(const Tensor& x, const Tensor& weights) {
  const i64 T = x.dim(0);
  double* sums = sums_abs_.data<double>();
  float* largest = max_abs_.f32();
  parallel_rows(K_, 64, [&](i64 begin, i64 end) {
    for (i64 t = 0; t < T; ++t) {
      const float* row = x.f32() + t * K_;
      const float w = weights.defined() ? weights.f32()[t] : 1.0f;
      for (i64 k = begin; k < end; ++k) {
        const float magnitude = std::abs(row[k]);
        sums[k] += static_cast<double>(w * magnitude);
        largest[k] = std::max(largest[k], magnitude);
      }
    }
  });
  for (i64 t = 0; t < T; ++t) weight_ += weights.defined() ? static_cast<double>(weights.f32()[t]) : 1.0;
}

void Gram::add(const std::string& what, const Tensor& x, const Tensor& weights) {
  const auto [T, K] = dims<2>("gram", x);
  if (K != K_) throw bug("gram: rows of {}, expected {}", K, K_);
  if (T == 0) return;
  expect_finite_rows(what, x);
  add_magnitudes(x, weights);
  const Tensor rows = weights.defined() ? weighted(x, weights) : x;
  const MatrixPart turned{rows.f32(), K, Layout::transposed};
  double* sums = sums_.data<double>();
  for (i64 j0 = 0; j0 < K; j0 += kPanel) {
    const i64 columns = std::min(kPanel, K - j0), height = j0 + columns;
    multiply(height, columns, T, turned, {rows.f32() + j0, K}, scratch_.f32(), columns, Result::write);
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

Tensor Gram::mean_abs() const {
  Tensor m = Tensor::zeros({K_});
  if (weight_ > 0)
    for (i64 k = 0; k < K_; ++k) m.f32()[k] = static_cast<float>(sums_abs_.data<double>()[k] / weight_);
  return m;
}

CrossGram::CrossGram(i64 K)
    : K_(K), sums_(Tensor::zeros({K, K}, DType::f64)), scratch_(Tensor::empty({K, K})) {}

void CrossGram::add(const std::string& what, const Tensor& x, const Tensor& changed, const Tensor& weights) {
  const auto [T, K] = dims<2>("cross gram", x);
  if (K != K_) throw bug("cross gram: rows of {}, expected {}", K, K_);
  expect("cross gram", changed, {T, K});
  if (T == 0) return;
  expect_finite_rows(what, x);
  expect_finite_rows(what, changed);
  const Tensor rows = weights.defined() ? weighted(x, weights) : x;
  const Tensor others = weights.defined() ? weighted(changed, weights) : changed;
  multiply(K, K, T, {rows.f32(), K, Layout::transposed}, {others.f32(), K}, scratch_.f32(), K, Result::write);
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin * K_; i < end * K_; ++i) sums_.data<double>()[i] += scratch_.f32()[i];
  });
}

Tensor CrossGram::matrix() const { return sums_.to_f32(); }

}  // namespace pare
