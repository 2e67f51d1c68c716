#include "ops/kl_divergence.h"

#include <cmath>
#include <vector>

#include "base/threads.h"
#include "ops/elementwise_cpu.h"

namespace pare {
namespace {

float log_sum_exp(const float* row, i64 V) {
  const cpu::RowSum s = cpu::exp_sum_row(row, V);
  return s.max + std::log(s.sum);
}

}  // namespace

void kl_divergence(const Tensor& wanted, const Tensor& logits, Tensor& kl) {
  const auto [N, V] = dims<2>("kl_divergence logits", logits);
  expect("kl_divergence wanted", wanted, {N, V});
  expect("kl_divergence kl", kl, {N}, DType::f64);
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    std::vector<float> p(static_cast<std::size_t>(width));
    for (i64 n = begin; n < end; ++n) {
      const float *a = wanted.f32() + n * width, *b = logits.f32() + n * width;
      const float lse_a = log_sum_exp(a, width), lse_b = log_sum_exp(b, width);
      cpu::softmax_row(a, width, lse_a, 1.0f, p.data());
      double sum = 0, mass = 0;
      for (i64 v = 0; v < width; ++v) {
        const double share = static_cast<double>(p[static_cast<std::size_t>(v)]);
        sum += share * (static_cast<double>(a[v]) - static_cast<double>(b[v]));
        mass += share;
      }
      kl.data<double>()[n] = sum - mass * (static_cast<double>(lse_a) - static_cast<double>(lse_b));
    }
  });
}

void kl_divergence_backward(const Tensor& wanted, const Tensor& logits, float scale, Tensor& dlogits) {
  const auto [N, V] = dims<2>("kl_divergence logits", logits);
  expect("kl_divergence wanted", wanted, {N, V});
  expect("kl_divergence dlogits", dlogits, {N, V});
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    std::vector<float> p(static_cast<std::size_t>(width));
    for (i64 n = begin; n < end; ++n) {
      const float *a = wanted.f32() + n * width, *b = logits.f32() + n * width;
      float* out = dlogits.f32() + n * width;
      cpu::softmax_row(a, width, log_sum_exp(a, width), -scale, p.data());
      cpu::softmax_row(b, width, log_sum_exp(b, width), scale, out);
      cpu::add_to_range(p.data(), 0, width, out);
    }
  });
}

}  // namespace pare
