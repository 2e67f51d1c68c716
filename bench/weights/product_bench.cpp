// Products with every kind of weight, by the quickest arithmetic (Products::fast), on matrices that no cache
// holds. Verified against the product of the decoded weights before anything is timed.
//   few rows of x (decoding)   GB/s of the weights, read = share of the read bandwidth
//   many rows (a prompt)       Gop/s, share = of the int8 peak; of the f32 peak for dense weights
// Shares are medians of pairs with the limit probed before and after (share.h). Bars: ../docs/speed.md.
#include <benchmark/benchmark.h>

#include <cmath>

#include "measure/machine.h"
#include "ref/ops.h"
#include "share.h"
#include "weights/codebook4.h"
#include "weights/fresh_copy.h"
#include "weights/ggml_encode.h"
#include "weights/int8_row.h"
#include "weights/int_group.h"
#include "weights/linear.h"

namespace pare {
namespace {

constexpr const char* kForms[] = {"f32",
                                  "bf16",
                                  "f16",
                                  "int8_row",
                                  "int8_g128",
                                  "int4_g32",
                                  "int4_g64",
                                  "int4_g128",
                                  "int4_g128_asym",
                                  "int3_g64",
                                  "nf4_b64",
                                  "q4_0",
                                  "q8_0",
                                  "q4_k",
                                  "q6_k"};

Weight made(const Tensor& w, const std::string& form) {
  if (form == "f32") return Weight(w);
  if (form == "bf16") return Weight(w.to(DType::bf16));
  if (form == "f16") return Weight(w.to(DType::f16));
  if (form == "int8_row") return quantize_int8_row(w);
  if (form == "int8_g128") return quantize_int_group(w, {8, 128});
  if (form == "int4_g32") return quantize_int_group(w, {4, 32});
  if (form == "int4_g64") return quantize_int_group(w, {4, 64});
  if (form == "int4_g128") return quantize_int_group(w, {4, 128});
  if (form == "int4_g128_asym") return quantize_int_group(w, {4, 128, false});
  if (form == "int3_g64") return quantize_int_group(w, {3, 64});
  if (form == "nf4_b64") return quantize_codebook4(w, {Code4::nf4, 64, false});
  return quantize_ggml_block(w, *ggml_type_named(form));
}

/// The product is that of the decoded weights, but for activations rounded to 8 bits.
bool right(const Tensor& x, const Weight& w) {
  const i64 M = x.dim(0);
  Tensor y = Tensor::empty({M, w.rows()}), want = y.clone();
  linear(x, w, Tensor(), y, Products::fast);
  linear(x, Weight(w.decode_all()), Tensor(), want);
  double error = 0, size = 0;
  for (i64 i = 0; i < y.count(); ++i) {
    error += std::pow(y.f32()[i] - want.f32()[i], 2);
    size += std::pow(want.f32()[i], 2);
  }
  return std::sqrt(error / size) < 0.02;
}

void product(benchmark::State& state) {
  const std::string form = kForms[state.range(0)];
  const i64 M = state.range(1), N = state.range(2), K = state.range(3);
  const Weight first = made(ref::normal({N, K}, 1), form);
  const Tensor x = ref::normal({M, K}, 2);
  if (!right(x, first)) return state.SkipWithError("wrong product");
  const bool few = M <= 4;
  const i64 bytes = few ? 256 << 20 : 32 << 20;
  std::vector<Weight> all;
  for (i64 i = 0; i < bytes / first.bytes() + 1; ++i) all.push_back(fresh_copy(first));
  Tensor y = Tensor::empty({M, N});
  const auto pass = [&] {
    for (const Weight& w : all) linear(x, w, Tensor(), y, Products::fast);
  };
  const auto count = static_cast<double>(all.size());
  state.SetLabel(form);
  pass();
  if (few) {
    run_beside_read_limit(state, count * static_cast<double>(first.bytes()), pass);
    return;
  }
  const double ops = count * 2 * static_cast<double>(M * N * K);
  const auto int8 = int8_gop_per_s(0.05);
  if (first.format().integer_rows() && int8)
    run_beside(state, ops, pass, "int8 peak", [] { return *int8_gop_per_s(0.05); });
  else
    run_beside_f32_peak(state, ops, pass);
}

void shapes(benchmark::internal::Benchmark* b) {
  for (i64 form = 0; form < static_cast<i64>(std::size(kForms)); ++form) {
    for (const i64 M : {1, 4, 16, 128}) b->Args({form, M, 2048, 2048});
    for (const i64 M : {1, 128}) b->Args({form, M, 4864, 896});
    for (const i64 M : {1, 128}) b->Args({form, M, 2048, 5632});
  }
}
BENCHMARK(product)
    ->ArgNames({"form", "M", "N", "K"})
    ->Apply(shapes)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->Iterations(5);

}  // namespace
}  // namespace pare
