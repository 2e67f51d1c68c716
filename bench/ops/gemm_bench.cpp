// The dense product at the shapes of training: forward x·Wᵀ, gradient of the input dy·W, gradient of the
// weight dyᵀ·x (added), as shares of the f32 peak.
#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/gemm.h"
#include "ref/ops.h"
#include "share.h"

namespace pare {
namespace {

enum Case { forward_case, input_case, weight_case };

struct Product {
  Product(i64 kind, i64 rows, i64 in, i64 out)
      : x(ref::normal({rows, in}, 1)), w(ref::normal({out, in}, 2)), dy(ref::normal({rows, out}, 3)) {
    if (kind == forward_case)
      M = rows, N = out, K = in, a = {x.f32(), in}, b.data = w.f32(), b.stride = in,
      b.layout = Layout::transposed;
    else if (kind == input_case)
      M = rows, N = in, K = out, a = {dy.f32(), out}, b.data = w.f32(), b.stride = in;
    else
      M = out, N = in, K = rows, a = {dy.f32(), out, Layout::transposed}, b.data = x.f32(), b.stride = in,
      result = Result::add;
    c = Tensor::zeros({M, N});
  }
  void run() { gemm(M, N, K, a, b, c.f32(), N, result); }

  /// Entries all over C against sums in double.
  bool correct() {
    c.zero();
    run();
    for (i64 i = 0; i < 200; ++i) {
      const i64 m = i * 7919 % M, n = i * 104729 % N;
      double sum = 0;
      for (i64 k = 0; k < K; ++k) {
        const float left = a.data[a.layout == Layout::plain ? m * a.stride + k : k * a.stride + m];
        const float right = b.data[b.layout == Layout::plain ? k * b.stride + n : n * b.stride + k];
        sum += static_cast<double>(left) * right;
      }
      if (!(std::abs(c.f32()[m * N + n] - sum) < 1e-5 * static_cast<double>(K))) return false;
    }
    return true;
  }

  Tensor x, w, dy, c;
  i64 M = 0, N = 0, K = 0;
  GemmA a{};
  GemmB b;
  Result result = Result::write;
};

void product(benchmark::State& state) {
  Product p(state.range(0), state.range(1), state.range(2), state.range(3));
  if (!p.correct()) return state.SkipWithError("wrong result");
  const double flops = 2.0 * static_cast<double>(p.M * p.N) * static_cast<double>(p.K);
  run_beside_f32_peak(state, flops, [&] { p.run(); });
}
BENCHMARK(product)
    ->ArgNames({"kind", "rows", "in", "out"})
    ->ArgsProduct({{forward_case, input_case, weight_case}, {4096}, {384}, {384, 1536, 4096}})
    ->Args({forward_case, 4096, 1536, 384})
    ->Args({input_case, 4096, 1536, 384})
    ->Args({weight_case, 4096, 1536, 384})
    ->Args({forward_case, 128, 896, 4864})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->MinTime(0.3);

}  // namespace
}  // namespace pare
