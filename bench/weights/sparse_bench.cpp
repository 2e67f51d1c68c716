// One token through linear layers kept sparse beside the same layers kept dense with the same bits a value,
// in turn: many matrices, so that no cache holds them. Counters: dense_ms and sparse_ms of all matrices
// (best), ratio = dense_ms / sparse_ms, read = share of the read bandwidth that the sparse bytes take (median
// of the pairs with the probe before and after). Bars at half of the weights: 0.9 of f16, bf16 and int8,
// faster where the CPU has VBMI2.
#include <benchmark/benchmark.h>

#include <cstring>

#include "measure/machine.h"
#include "ref/ops.h"
#include "share.h"
#include "weights/fresh_copy.h"
#include "weights/int8_row.h"
#include "weights/linear.h"
#include "weights/sparse_int.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

enum Form { f32, bf16, f16, int8, int8_g128, int4_g64 };
constexpr const char* kForms[] = {"f32", "bf16", "f16", "int8_row", "int8_g128", "int4_g64"};
constexpr i64 kMatrixBytes = 128 << 20;  // of the sparse matrices of a case, about

/// Half of the weights, anywhere or two of every four.
Tensor half_kept(i64 N, i64 K, KeptPattern pattern) {
  Tensor keep = Tensor::empty({N, K}, DType::u8);
  Rng rng(7);
  for (i64 i = 0; i < keep.count(); i += 4) {
    u8* k = keep.data<u8>() + i;
    for (i64 j = 0; j < 4; ++j) k[j] = pattern == KeptPattern::any ? rng.below(2) == 1 : 0;
    if (pattern == KeptPattern::any) continue;
    const u64 first = rng.below(4);
    k[first] = k[(first + 1 + rng.below(3)) % 4] = 1;
  }
  return keep;
}

struct Both {
  Weight dense, sparse;
};

Weight sparse_int8_row(const Int8RowWeight& w, const Tensor& keep, KeptPattern pattern) {
  const KeptPlaces places = pack_places(keep, pattern);
  Tensor values = Tensor::empty({places.kept()}, DType::i8), scales = Tensor::empty({w.rows()});
  for (i64 i = 0, next = 0; i < keep.count(); ++i)
    if (keep.data<u8>()[i]) values.data<i8>()[next++] = w.codes().data<i8>()[i];
  for (i64 n = 0; n < w.rows(); ++n) scales.f32()[n] = w.scb().f32()[n] / 127;
  return Weight(std::make_shared<SparseMaskWeight>("bench", places, values, scales));
}

Both both(const Tensor& w, const Tensor& keep, i64 form, KeptPattern pattern) {
  if (form <= f16) {
    Tensor zeros = w.clone();
    for (i64 i = 0; i < w.count(); ++i) zeros.f32()[i] *= keep.data<u8>()[i];
    zeros = form == f32 ? zeros : zeros.to(form == bf16 ? DType::bf16 : DType::f16);
    return {Weight(zeros), sparse_mask_weight(zeros, pattern)};
  }
  if (form == int8) {
    const Weight dense = quantize_int8_row(w);
    return {dense, sparse_int8_row(dynamic_cast<const Int8RowWeight&>(dense.format()), keep, pattern)};
  }
  const Weight dense =
      quantize_int_group(w, form == int8_g128 ? IntGroupOptions{8, 128} : IntGroupOptions{4, 64});
  return {dense, sparse_int_weight(dynamic_cast<const IntGroupWeight&>(dense.format()), keep, pattern)};
}

bool right(const Tensor& x, const Weight& w) {
  Tensor y = Tensor::empty({1, w.rows()}), want = y.clone();
  linear(x, w, Tensor(), y);
  linear(x, Weight(w.decode_all()), Tensor(), want);
  return std::memcmp(y.f32(), want.f32(), static_cast<std::size_t>(y.bytes())) == 0;
}

void one_token(benchmark::State& state) {
  const i64 form = state.range(0), N = state.range(1), K = state.range(2);
  const auto pattern = state.range(3) ? KeptPattern::two_of_four : KeptPattern::any;
  const Both pair = both(ref::normal({N, K}, 1), half_kept(N, K, pattern), form, pattern);
  const Tensor x = ref::normal({1, K}, 2);
  if (!right(x, pair.sparse)) return state.SkipWithError("wrong product");
  const i64 count = kMatrixBytes / pair.sparse.bytes() + 1;
  std::vector<Weight> dense, sparse;
  for (i64 i = 0; i < count; ++i) {
    dense.push_back(fresh_copy(pair.dense));
    sparse.push_back(fresh_copy(pair.sparse));
  }
  Tensor y = Tensor::empty({1, N});
  const auto pass_s = [&](const std::vector<Weight>& all) {
    const Stopwatch watch;
    for (const Weight& w : all) linear(x, w, Tensor(), y);
    return watch.elapsed_s();
  };
  pass_s(dense);
  ReadProbe probe;
  double dense_s = 1e9, sparse_s = 1e9, limit = probe.gb_per_s();
  std::vector<double> shares;
  for (auto _ : state) {
    dense_s = std::min(dense_s, pass_s(dense));
    const double s = pass_s(sparse), after = probe.gb_per_s();
    sparse_s = std::min(sparse_s, s);
    state.SetIterationTime(s);
    shares.push_back(static_cast<double>(count * pair.sparse.bytes()) / s * 2e-9 / (limit + after));
    limit = after;
  }
  state.SetLabel(std::string(kForms[form]) + " / " + pair.sparse.format().name());
  state.counters["dense_ms"] = dense_s * 1e3;
  state.counters["sparse_ms"] = sparse_s * 1e3;
  state.counters["ratio"] = dense_s / sparse_s;
  state.counters["read"] = median(shares);
}
BENCHMARK(one_token)
    ->ArgNames({"form", "N", "K", "pairs"})
    ->ArgsProduct({{bf16, f16, int8, int8_g128, int4_g64}, {4864}, {896}, {0, 1}})
    ->ArgsProduct({{f32, bf16, f16, int8, int8_g128, int4_g64}, {896}, {4864}, {0}})
    ->ArgsProduct({{bf16, f16, int8, int8_g128, int4_g64}, {2048}, {2048}, {0}})
    ->ArgsProduct({{bf16, f16, int8, int8_g128, int4_g64}, {5632}, {2048}, {0}})
    ->ArgsProduct({{bf16, f16, int8, int4_g64}, {4096}, {11008}, {0}})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->Iterations(15);

}  // namespace
}  // namespace pare
