#include "weights/int8_outliers.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace pare {
namespace {

// The reference's constant: 1/127² is 6.2000124e-05, so its products are 1.8·10⁻⁵ too large, and so are
// these.
constexpr float kPer127Squared = 6.200124e-05f;

}  // namespace

Int8Activations quantize_activations_int8(const Tensor& x, float threshold) {
  const auto [M, K] = dims<2>("quantize_activations_int8", x);
  Int8Activations a{Tensor::zeros({M, K}, DType::i8), Tensor::zeros({M}), {}};
  const float* from = x.f32();
  std::vector<char> out(static_cast<std::size_t>(K), 0);
  if (threshold > 0)
    for (i64 i = 0; i < M * K; ++i)
      if (std::abs(from[i]) >= threshold) out[static_cast<std::size_t>(i % K)] = 1;
  for (i64 k = 0; k < K; ++k)
    if (out[static_cast<std::size_t>(k)]) a.outliers.push_back(k);
  for (i64 m = 0; m < M; ++m) {
    const float* row = from + m * K;
    float largest = 0;
    for (i64 k = 0; k < K; ++k)
      if (threshold <= 0 || std::abs(row[k]) < threshold) largest = std::max(largest, std::abs(row[k]));
    a.scales.f32()[m] = largest;
    if (largest == 0) continue;
    const float by = 127.0f / largest;
    for (i64 k = 0; k < K; ++k)
      if (!out[static_cast<std::size_t>(k)])
        a.codes.data<i8>()[m * K + k] =
            static_cast<i8>(std::clamp(std::nearbyint(row[k] * by), -127.0f, 127.0f));
  }
  return a;
}

void int8_product(const Tensor& a, const Tensor& b, Tensor& y) {
  const auto [M, K] = dims<2>("int8_product a", a, DType::i8);
  const i64 N = b.dim(0), depth = K;
  expect("int8_product b", b, {N, K}, DType::i8);
  expect("int8_product y", y, {M, N}, DType::i32);
  if (K > 133'000) throw bug("int8_product: {} columns could overflow 32 bits", depth);
  const i8 *ap = a.data<i8>(), *bp = b.data<i8>();
  i32* yp = y.data<i32>();
  parallel_rows(M, 1, [&](i64 begin, i64 end) {
    for (i64 m = begin; m < end; ++m)
      for (i64 n = 0; n < N; ++n) {
        i32 sum = 0;
        for (i64 k = 0; k < depth; ++k)
          sum += static_cast<i32>(ap[m * depth + k]) * static_cast<i32>(bp[n * depth + k]);
        yp[m * N + n] = sum;
      }
  });
}

void linear_int8_outliers(
    const Tensor& x, const Int8RowWeight& w, const Tensor& bias, float threshold, Tensor& y) {
  const auto [M, K] = dims<2>("linear_int8_outliers x", x);
  const i64 N = w.rows(), cols = K;
  if (w.cols() != K) throw bug("linear_int8_outliers: x is ({}, {}), W is ({}, {})", M, cols, N, w.cols());
  expect("linear_int8_outliers y", y, {M, N});
  if (bias.defined()) expect("linear_int8_outliers bias", bias, {N});
  const Int8Activations a = quantize_activations_int8(x, threshold);
  Tensor sums = Tensor::empty({M, N}, DType::i32);
  int8_product(a.codes, w.codes(), sums);
  // The outlier columns of W, decoded: (outliers, N).
  std::vector<float> columns(a.outliers.size() * static_cast<std::size_t>(N));
  for (std::size_t i = 0; i < a.outliers.size(); ++i)
    w.decode(0, N, a.outliers[i], a.outliers[i] + 1, columns.data() + i * static_cast<std::size_t>(N), 1);
  parallel_rows(M, 1, [&](i64 begin, i64 end) {
    for (i64 m = begin; m < end; ++m)
      for (i64 n = 0; n < N; ++n) {
        const float scale = a.scales.f32()[m] * w.scb().f32()[n] * kPer127Squared;
        float sum = static_cast<float>(sums.data<i32>()[m * N + n]) * scale;
        for (std::size_t i = 0; i < a.outliers.size(); ++i)
          sum += x.f32()[m * cols + a.outliers[i]] *
                 columns[i * static_cast<std::size_t>(N) + static_cast<std::size_t>(n)];
        y.f32()[m * N + n] = sum + (bias.defined() ? bias.f32()[n] : 0.0f);
      }
  });
}

}  // namespace pare
