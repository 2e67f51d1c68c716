// What GPTQ spends its time on, as shares of the f32 peak: Gram matrices (by triangle: K² a token counts),
// the factor of the inverse (2/3 K³), the sweep (N·K² for corrections; grids and codes are not counted). Bar:
// Gram 60 %, the sweep 60 % from 4096 inputs on.
#include <benchmark/benchmark.h>

#include <cmath>

#include "compress/gptq.h"
#include "compress/gram.h"
#include "compress/int_columns.h"
#include "compress/inverse_factor.h"
#include "ref/ops.h"
#include "share.h"

namespace pare {
namespace {

Tensor some_gram(i64 K) {
  Gram gram(K);
  gram.add("benchmark", ref::normal({2 * K, K}, 1));
  return gram.matrix();
}

void gram_matrix(benchmark::State& state) {
  const i64 K = state.range(0), T = state.range(1);
  const Tensor x = ref::normal({T, K}, 1);
  Gram gram(K);
  gram.add("benchmark", x);
  double sum = 0;
  for (i64 t = 0; t < T; ++t) sum += static_cast<double>(x.f32()[t * K + 1]) * x.f32()[t * K + K - 1];
  if (std::abs(gram.matrix().f32()[K + K - 1] - sum) > 1e-3 * static_cast<double>(T))
    return state.SkipWithError("wrong sums");
  run_beside_f32_peak(state,
                      static_cast<double>(T) * static_cast<double>(K) * static_cast<double>(K + 1),
                      [&] { gram.add("benchmark", x); });
}
BENCHMARK(gram_matrix)
    ->ArgNames({"K", "T"})
    ->Args({896, 4096})
    ->Args({4864, 4096})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->MinTime(1);

void factor(benchmark::State& state) {
  const i64 K = state.range(0);
  const Tensor h = some_gram(K);
  const double k = static_cast<double>(K);
  run_beside_f32_peak(
      state, 2.0 / 3.0 * k * k * k, [&] { benchmark::DoNotOptimize(inverse_factor(h, 0.01)); });
}
BENCHMARK(factor)
    ->ArgName("K")
    ->Arg(896)
    ->Arg(2048)
    ->Arg(4096)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->MinTime(1);

void sweep(benchmark::State& state) {
  const i64 N = state.range(0), K = state.range(1);
  const Tensor w = ref::normal({N, K}, 3), h = some_gram(K);
  const InverseFactor f = inverse_factor(h, 0.01);
  std::vector<i64> order = column_order(ColumnOrder::natural, Tensor::zeros({K}), 64);
  const Tensor importance = Tensor::zeros({K});
  const auto once = [&](Tensor& q) {
    IntColumns rule(N, ColumnGroups(order, 64), importance, [](auto weights, auto) {
      return fit_int_grid(weights, 4, true, DType::f16);
    });
    const double loss = column_sweep(q, f.u, rule).loss;
    benchmark::DoNotOptimize(rule.codes());
    return loss;
  };
  Tensor q = w.clone();
  once(q);
  Tensor rounded = quantize_int_group(w, {4, 64, true}).decode_all();
  if (gram_loss(w, q, h) > gram_loss(w, rounded, h)) return state.SkipWithError("no better than rounding");
  run_beside_f32_peak(state, static_cast<double>(N) * static_cast<double>(K) * static_cast<double>(K), [&] {
    q = w.clone();
    benchmark::DoNotOptimize(once(q));
  });
}
BENCHMARK(sweep)
    ->ArgNames({"N", "K"})
    ->Args({896, 896})
    ->Args({896, 4864})
    ->Args({4096, 4096})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->MinTime(1);

}  // namespace
}  // namespace pare
