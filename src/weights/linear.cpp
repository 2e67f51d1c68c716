#include "weights/linear.h"

#include "base/threads.h"

namespace pare {
namespace {

void product(
    const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Result result, Products products) {
  const auto [M, K] = dims<2>("linear x", x);
  const i64 N = w.rows();
  if (w.cols() != K) throw bug("linear: x is ({}, {}), W is ({}, {})", M, K, N, w.cols());
  expect("linear y", y, {M, N});
  if (bias.defined()) expect("linear bias", bias, {N});

  GemmB b;
  if (const Tensor dense = w.dense(); dense.defined() && dense.dtype() == DType::f32) {
    b.data = dense.f32();
    b.stride = K;
    b.layout = Layout::transposed;
  } else {
    b.decode_columns = [&w](i64 n0, i64 n1, i64 k0, i64 k1, float* tile, i64 stride) {
      w.format().decode(n0, n1, k0, k1, tile, stride);
    };
  }
  gemm(M, N, K, {x.f32(), K}, b, y.f32(), N, result, bias.defined() ? bias.f32() : nullptr, products);
}

void product_backward(const Tensor& dy, const Weight& w, Tensor& dx, Result result, Products products) {
  const auto [M, N] = dims<2>("linear dy", dy);
  const i64 K = w.cols();
  if (w.rows() != N) throw bug("linear_backward_input: dy is ({}, {}), W is ({}, {})", M, N, w.rows(), K);
  expect("linear dx", dx, {M, K});

  GemmB b;
  if (const Tensor dense = w.dense(); dense.defined() && dense.dtype() == DType::f32) {
    b.data = dense.f32();
    b.stride = K;
  } else {
    // The sum runs over W's rows: row n of W is row n of B.
    b.decode_rows = [&w](i64 c0, i64 c1, i64 r0, i64 r1, float* tile, i64 stride) {
      w.format().decode(r0, r1, c0, c1, tile, stride);
    };
  }
  gemm(M, K, N, {dy.f32(), N}, b, dx.f32(), K, result, nullptr, products);
}

}  // namespace

void linear(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products) {
  product(x, w, bias, y, Result::write, products);
}

void linear_add(const Tensor& x, const Weight& w, const Tensor& bias, Tensor& y, Products products) {
  product(x, w, bias, y, Result::add, products);
}

void linear_backward_input(const Tensor& dy, const Weight& w, Tensor& dx, Products products) {
  product_backward(dy, w, dx, Result::write, products);
}

void linear_backward_input_add(const Tensor& dy, const Weight& w, Tensor& dx, Products products) {
  product_backward(dy, w, dx, Result::add, products);
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
