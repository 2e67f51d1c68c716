#include "weights/linear.h"

#include <algorithm>

#include "base/threads.h"
#include "ops/integer_gemm.h"
#include "weights/low_rank.h"

namespace pare {
namespace {

/// Multiplies row n of a tile of W by factor[n].
void scale_rows(const float* factor, i64 n0, i64 n1, i64 width, float* tile, i64 stride) {
  for (i64 n = n0; n < n1; ++n)
    for (i64 k = 0; k < width; ++k) tile[(n - n0) * stride + k] *= factor[n];
}

/// Row factors of a part of W: those of the whole (or undefined) times those of the part (or undefined) times
/// a scale. Undefined for ones.
Tensor factors_of_part(const Tensor& whole, const Tensor& part, double scale, i64 N) {
  const auto s = static_cast<float>(scale);
  if (!whole.defined() && !part.defined() && s == 1) return {};
  Tensor out = Tensor::empty({N});
  for (i64 n = 0; n < N; ++n)
    out.f32()[n] = s * (whole.defined() ? whole.f32()[n] : 1) * (part.defined() ? part.f32()[n] : 1);
  return out;
}

/// What the products of a dense weight, or of one without integers, are in.
Products floats_of(Products products, const Weight& w) {
  if (products != Products::fast) return products;
  const Tensor dense = w.dense();
  const bool is_bf16 = dense.defined() && dense.dtype() == DType::bf16;
  return is_bf16 && bf16_products_are_native() ? Products::bf16 : Products::f32;
}

/// y (+)= W·x + b by the format's own kernel for one row; false where it has none.
bool row_product(const float* x, const Weight& w, const float* bias, float* y, Result result) {
  constexpr i64 kStrip = 64;
  const i64 N = w.rows();
  if (!w.format().multiply_row(x, 0, 0, y, false)) return false;
  parallel_tasks((N + kStrip - 1) / kStrip, [&](i64 task) {
    const i64 n0 = task * kStrip, n1 = std::min(N, n0 + kStrip);
    w.format().multiply_row(x, n0, n1, y + n0, result == Result::add);
    if (bias)
      for (i64 n = n0; n < n1; ++n) y[n] += bias[n];
  });
  return true;
}

/// y (+)= x·(diag(factors)·W)ᵀ + b. `factors` (N) or undefined.
void product(const Tensor& x,
             const Weight& w,
             const Tensor& factors,
             const Tensor& bias,
             Tensor& y,
             Result result,
             Products products) {
  const auto [M, K] = dims<2>("linear x", x);
  const i64 N = w.rows();
  if (w.cols() != K) throw bug("linear: x is ({}, {}), W is ({}, {})", M, K, N, w.cols());
  expect("linear y", y, {M, N});
  if (bias.defined()) expect("linear bias", bias, {N});

  if (const LowRankWeight* sum = low_rank_of(w)) {
    const LowRankWeight::Parts& p = sum->parts();
    product(x, p.base, factors_of_part(factors, p.row_scale, 1, N), {}, y, result, products);
    Tensor thin = Tensor::empty({M, sum->rank()});
    product(x, sum->a(), {}, {}, thin, Result::write, products);
    const Tensor of_b = factors_of_part(factors, p.row_scale, p.scale, N);
    return product(thin, sum->b(), of_b, bias, y, Result::add, products);
  }

  const float* of_rows = factors.defined() ? factors.f32() : nullptr;
  const float* added = bias.defined() ? bias.f32() : nullptr;
  if (products == Products::fast)
    if (const IntegerRows* rows = w.format().integer_rows())
      return integer_gemm(M, N, K, x.f32(), K, *rows, y.f32(), N, result, of_rows, added);

  const Products floats = floats_of(products, w);
  if (M == 1 && floats == Products::f32 && !of_rows && row_product(x.f32(), w, added, y.f32(), result))
    return;

  GemmB b;
  if (const Tensor dense = w.dense(); !factors.defined() && dense.defined() && dense.dtype() == DType::f32) {
    b.data = dense.f32();
    b.stride = K;
    b.layout = Layout::transposed;
  } else {
    b.decode_columns = [&w, of_rows](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
      w.format().decode(n0, n1, k0, k1, tile, stride);
      if (of_rows) scale_rows(of_rows, n0, n1, k1 - k0, tile, stride);
    };
  }
  gemm(M, N, K, {x.f32(), K}, b, y.f32(), N, result, added, floats);
}

/// dx (+)= dy·diag(factors)·W.
void product_backward(
    const Tensor& dy, const Weight& w, const Tensor& factors, Tensor& dx, Result result, Products products) {
  const auto [M, N] = dims<2>("linear dy", dy);
  const i64 K = w.cols();
  if (w.rows() != N) throw bug("linear_backward_input: dy is ({}, {}), W is ({}, {})", M, N, w.rows(), K);
  expect("linear dx", dx, {M, K});

  if (const LowRankWeight* sum = low_rank_of(w)) {
    const LowRankWeight::Parts& p = sum->parts();
    product_backward(dy, p.base, factors_of_part(factors, p.row_scale, 1, N), dx, result, products);
    Tensor thin = Tensor::empty({M, sum->rank()});
    const Tensor of_b = factors_of_part(factors, p.row_scale, p.scale, N);
    product_backward(dy, sum->b(), of_b, thin, Result::write, products);
    return product_backward(thin, sum->a(), {}, dx, Result::add, products);
  }

  GemmB b;
  if (const Tensor dense = w.dense(); !factors.defined() && dense.defined() && dense.dtype() == DType::f32) {
    b.data = dense.f32();
    b.stride = K;
  } else {
    // The sum runs over W's rows: row n of W is row n of B.
    const float* factor = factors.defined() ? factors.f32() : nullptr;
    b.decode_rows = [&w, factor](i64 c0, i64 c1, i64 r0, i64 r1, float* tile, i64 stride) {
      w.format().decode(r0, r1, c0, c1, tile, stride);
      if (factor) scale_rows(factor, r0, r1, c1 - c0, tile, stride);
    };
  }
  gemm(M, K, N, {dy.f32(), N}, b, dx.f32(), K, result, nullptr, floats_of(products, w));
}

}  // namespace

void linear(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products) {
  product(x, w, {}, bias, y, Result::write, products);
}

void linear_add(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products) {
  product(x, w, {}, bias, y, Result::add, products);
}

void linear_backward_input(const Tensor& dy, const Weight& w, Tensor& dx, Products products) {
  product_backward(dy, w, {}, dx, Result::write, products);
}

void linear_backward_input_add(const Tensor& dy, const Weight& w, Tensor& dx, Products products) {
  product_backward(dy, w, {}, dx, Result::add, products);
}

void linear_backward_weight(const Tensor& dy, const Tensor& x, Tensor& dw, Tensor& dbias, Products products) {
  const auto [M, N] = dims<2>("linear dy", dy);
  const i64 K = x.dim(1);
  expect("linear x", x, {M, K});
  expect("linear dw", dw, {N, K});
  gemm(N,
       K,
       M,
       {dy.f32(), N, Layout::transposed},
       {.data = x.f32(), .stride = K, .layout = Layout::plain, .decode_columns = {}, .decode_rows = {}},
       dw.f32(),
       K,
       Result::add,
       nullptr,
       products);
  if (!dbias.defined()) return;
  expect("linear dbias", dbias, {N});
  const i64 columns = N, rows = M;
  parallel_rows(columns, 64, [&](i64 begin, i64 end) {
    float* sum = dbias.f32();
    for (i64 m = 0; m < rows; ++m) {
      const float* row = dy.f32() + m * columns;
      for (i64 n = begin; n < end; ++n) sum[n] += row[n];
    }
  });
}

}  // namespace pare
