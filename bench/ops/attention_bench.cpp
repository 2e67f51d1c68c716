// Speed of attention at training shapes; GFLOP/s count what the causal mask leaves: 2·E flops per query, key
// and product, two products forward and five backward.
#include <benchmark/benchmark.h>

#include <cmath>

#include "ops/attention.h"
#include "ref/ops.h"

namespace pare {
namespace {

struct Setup {
  Setup(i64 sequences, i64 T, i64 H, i64 K, i64 E)
      : shape{H, K, E, 0, 1.0f / std::sqrt(static_cast<float>(E))} {
    const i64 N = sequences * T;
    q = ref::normal({N, H * E}, 1), k = ref::normal({N, K * E}, 2), v = ref::normal({N, K * E}, 3);
    dout = ref::normal({N, H * E}, 4);
    o = Tensor::zeros(q.shape()), lse = Tensor::zeros({N, H});
    dq = Tensor::zeros(q.shape()), dk = Tensor::zeros(k.shape()), dv = Tensor::zeros(v.shape());
    for (i64 n = 0; n < N; n += T) seqs.push_back({n, T, T, {k.f32() + n * K * E}, {v.f32() + n * K * E}, T});
    pairs = static_cast<double>(sequences * H) * static_cast<double>(T * (T + 1) / 2);
    attention(q, seqs, shape, o, lse);
  }
  /// The first sequence against the reference.
  bool correct() {
    const i64 T = seqs[0].rows;
    const ref::Attention s{shape.H, shape.K, shape.E, 0, shape.scale};
    const auto first = [&](const Tensor& t) { return ref::doubles(t.rows(0, T)); };
    attention_backward(dout, q, k, v, o, lse, seqs, shape, dq, dk, dv);
    const ref::AttentionGradients g = ref::attention_backward(first(dout), first(q), first(k), first(v), s);
    return near(o, ref::attention(first(q), first(k), first(v), s)) && near(dq, g.dq) && near(dk, g.dk) &&
           near(dv, g.dv);
  }
  static bool near(const Tensor& got, const ref::Doubles& want) {
    for (std::size_t i = 0; i < want.size(); ++i)
      if (!(std::abs(static_cast<double>(got.f32()[i]) - want[i]) < 1e-4)) return false;
    return true;
  }
  AttentionShape shape;
  Tensor q, k, v, dout, o, lse, dq, dk, dv;
  std::vector<AttentionSeq> seqs;
  double pairs = 0;  // of a query and a key it sees, over all heads
};

void set_rate(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void attention_forward(benchmark::State& state) {
  Setup s(state.range(0), state.range(1), state.range(2), state.range(3), state.range(4));
  if (!s.correct()) return state.SkipWithError("wrong result");
  for (auto _ : state) attention(s.q, s.seqs, s.shape, s.o, s.lse);
  set_rate(state, 4.0 * static_cast<double>(s.shape.E) * s.pairs);
}

void attention_backward_all(benchmark::State& state) {
  Setup s(state.range(0), state.range(1), state.range(2), state.range(3), state.range(4));
  if (!s.correct()) return state.SkipWithError("wrong result");
  for (auto _ : state)
    attention_backward(s.dout, s.q, s.k, s.v, s.o, s.lse, s.seqs, s.shape, s.dq, s.dk, s.dv);
  set_rate(state, 10.0 * static_cast<double>(s.shape.E) * s.pairs);
}

/// One token of each sequence against a cache of range(1) keys; GB/s count the keys and values.
void attention_decode(benchmark::State& state) {
  const i64 sequences = state.range(0), keys = state.range(1), H = state.range(2), K = state.range(3),
            E = state.range(4);
  Setup s(sequences, keys, H, K, E);
  std::vector<AttentionSeq> seqs = s.seqs;
  for (i64 i = 0; i < sequences; ++i)
    seqs[static_cast<std::size_t>(i)].row = i, seqs[static_cast<std::size_t>(i)].rows = 1;
  Tensor q = Tensor::empty({sequences, H * E}), o = Tensor::empty(q.shape()), none;
  for (i64 i = 0; i < sequences; ++i)
    std::copy_n(s.q.f32() + ((i + 1) * keys - 1) * H * E, H * E, q.f32() + i * H * E);
  for (auto _ : state) attention(q, seqs, s.shape, o, none);
  for (i64 i = 0; i < sequences * H * E; ++i)
    if (o.f32()[i] != s.o.f32()[((i / (H * E) + 1) * keys - 1) * H * E + i % (H * E)])
      return state.SkipWithError("decoding and prefill differ");
  state.counters["GB/s"] = benchmark::Counter(8e-9 * static_cast<double>(sequences * keys * K * E),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"sequences", "T", "H", "K", "E"})->Unit(benchmark::kMillisecond)->UseRealTime();
  b->Args({8, 512, 8, 8, 48})
      ->Args({16, 256, 8, 8, 32})
      ->Args({4, 1024, 8, 2, 64})
      ->Args({2, 512, 8, 8, 128});
}
void decode_shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"sequences", "keys", "H", "K", "E"})->Unit(benchmark::kMicrosecond)->UseRealTime();
  b->Args({1, 512, 8, 8, 48})
      ->Args({1, 2048, 8, 8, 48})
      ->Args({1, 2048, 8, 2, 64})
      ->Args({16, 512, 8, 8, 48});
}
BENCHMARK(attention_forward)->Apply(shapes);
BENCHMARK(attention_backward_all)->Apply(shapes);
BENCHMARK(attention_decode)->Apply(decode_shapes);

}  // namespace
}  // namespace pare
