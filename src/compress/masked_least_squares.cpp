#include "compress/masked_least_squares.h"

#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "ops/multiply.h"

namespace pare {
namespace {

double dot(const float* a, const float* b, i64 n) {
  double sum = 0;
  for (i64 i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

double masked_least_squares(Tensor& v, const Tensor& w, const Tensor& mask, const Tensor& h, i64 iterations) {
  const auto [rows, columns] = dims<2>("masked_least_squares", w);
  const i64 N = rows, K = columns;
  expect("masked_least_squares", v, {N, K});
  expect("masked_least_squares", mask, {N, K}, DType::u8);
  expect("masked_least_squares", h, {K, K});
  Tensor delta = Tensor::empty({N, K}), r = Tensor::empty({N, K}), p = Tensor::zeros({N, K}),
         hp = Tensor::empty({N, K});
  for (i64 i = 0; i < N * K; ++i) delta.f32()[i] = w.f32()[i] - v.f32()[i];
  multiply(N, K, K, {delta.f32(), K}, {h.f32(), K}, r.f32(), K, Result::write);
  double loss = 0;
  for (i64 n = 0; n < N; ++n) loss += dot(delta.f32() + n * K, r.f32() + n * K, K);
  std::vector<float> inverse_diagonal;
  for (i64 k = 0; k < K; ++k) inverse_diagonal.push_back(1 / h.f32()[k * K + k]);
  std::vector<double> rz(static_cast<std::size_t>(N), 0.0), gained(rz);

  // The next direction of a row from its residual: r·z of the masked residual, z = r / diag H.
  const auto direction = [&](i64 n) {
    const auto at = static_cast<std::size_t>(n);
    const u8* keep = mask.data<u8>() + n * K;
    float *residual = r.f32() + n * K, *to = p.f32() + n * K;
    double fresh = 0;
    for (i64 k = 0; k < K; ++k) {
      if (!keep[k]) residual[k] = 0;
      fresh += static_cast<double>(residual[k]) * residual[k] * inverse_diagonal[static_cast<std::size_t>(k)];
    }
    const auto beta = static_cast<float>(rz[at] > 0 ? fresh / rz[at] : 0);
    for (i64 k = 0; k < K; ++k)
      to[k] = residual[k] * inverse_diagonal[static_cast<std::size_t>(k)] + beta * to[k];
    rz[at] = fresh;
  };
  const auto step = [&](i64 n) {
    const auto at = static_cast<std::size_t>(n);
    const double curve = dot(p.f32() + n * K, hp.f32() + n * K, K);
    if (!(curve > 0) || !(rz[at] > 0)) return;
    const auto alpha = static_cast<float>(rz[at] / curve);
    for (i64 k = 0; k < K; ++k) {
      v.f32()[n * K + k] += alpha * p.f32()[n * K + k];
      r.f32()[n * K + k] -= alpha * hp.f32()[n * K + k];
    }
    gained[at] += rz[at] * rz[at] / curve;
  };
  const auto each_row = [&](const auto& body) {
    parallel_rows(N, 4, [&](i64 begin, i64 end) {
      for (i64 n = begin; n < end; ++n) body(n);
    });
  };
  for (i64 i = 0; i < iterations; ++i) {
    each_row(direction);
    multiply(N, K, K, {p.f32(), K}, {h.f32(), K}, hp.f32(), K, Result::write);
    each_row(step);
  }
  for (const double g : gained) loss -= g;
  return loss;
}

}  // namespace pare
