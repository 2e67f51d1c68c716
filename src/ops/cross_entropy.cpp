#include "ops/cross_entropy.h"

#include <cmath>

#include "base/threads.h"
#include "ops/elementwise_cpu.h"

namespace pare {
namespace {

float log_sum_exp(const float* row, i64 V) {
  const cpu::RowSum s = cpu::exp_sum_row(row, V);
  return s.max + std::log(s.sum);
}

void check_targets(const Tensor& targets, i64 V) {
  for (const i32 t : targets.span<i32>())
    if (t != kIgnoreTarget && (t < 0 || t >= V))
      throw bug("cross_entropy: target {} outside the vocabulary of {}", t, V);
}

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& nll) {
  const auto [N, V] = dims<2>("cross_entropy logits", logits);
  expect("cross_entropy targets", targets, {N}, DType::i32);
  expect("cross_entropy nll", nll, {N});
  check_targets(targets, V);
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) {
      const float* row = logits.f32() + n * width;
      const i32 target = targets.data<i32>()[n];
      nll.f32()[n] = target == kIgnoreTarget ? 0.0f : log_sum_exp(row, width) - row[target];
    }
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& targets, float scale, Tensor& dlogits) {
  const auto [N, V] = dims<2>("cross_entropy logits", logits);
  expect("cross_entropy targets", targets, {N}, DType::i32);
  expect("cross_entropy dlogits", dlogits, {N, V});
  check_targets(targets, V);
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) {
      const float* row = logits.f32() + n * width;
      float* out = dlogits.f32() + n * width;
      const i32 target = targets.data<i32>()[n];
      if (target == kIgnoreTarget) {
        for (i64 v = 0; v < width; ++v) out[v] = 0.0f;
        continue;
      }
      cpu::softmax_row(row, width, log_sum_exp(row, width), scale, out);
      out[target] -= scale;
    }
  });
}

void log_softmax(const Tensor& logits, Tensor& logp) {
  const auto [N, V] = dims<2>("log_softmax logits", logits);
  expect("log_softmax logp", logp, {N, V});
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) {
      const float* row = logits.f32() + n * width;
      cpu::shift_row(row, width, -log_sum_exp(row, width), logp.f32() + n * width);
    }
  });
}

void argmax_rows(const Tensor& logits, Tensor& ids) {
  const auto [N, V] = dims<2>("argmax logits", logits);
  expect("argmax ids", ids, {N}, DType::i32);
  const i64 width = V;
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n)
      ids.data<i32>()[n] = static_cast<i32>(cpu::argmax_row(logits.f32() + n * width, width));
  });
}

}  // namespace pare
