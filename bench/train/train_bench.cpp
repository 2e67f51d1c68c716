// One optimiser step of training from scratch: forward, backward, clipping, AdamW. FLOPs are counted as
// 6 · parameters · tokens (the embedding's lookup is none, the head's product is one) and causal attention at
// half: 12 · L · T · H·E / 2 a token, forward and backward.
#include <benchmark/benchmark.h>

#include <cmath>

#include "base/rng.h"
#include "share.h"
#include "train/init.h"
#include "train/trainer.h"

namespace pare {
namespace {

Config llama_like(i64 D, i64 L, i64 H, i64 F, i64 V, i64 T) {
  return parse_config(json{{"model_type", "llama"},
                           {"architectures", {"LlamaForCausalLM"}},
                           {"hidden_size", D},
                           {"num_hidden_layers", L},
                           {"num_attention_heads", H},
                           {"num_key_value_heads", H},
                           {"intermediate_size", F},
                           {"vocab_size", V},
                           {"max_position_embeddings", T},
                           {"rms_norm_eps", 1e-5},
                           {"tie_word_embeddings", true}},
                      "the benchmark's model");
}

struct Training {
  Training(const Config& c, i64 T, i64 B, bool recompute)
      : model{c, random_params(c, 1)},
        grads(zero_params(c)),
        tensors(trained_tensors(model.params, grads, c)),
        adamw(adamw_state(tensors)),
        keep(recompute ? Keep::layer_inputs : Keep::everything) {
    Rng rng(2);
    for (i64 b = 0; b < B; ++b) {
      Example e;
      for (i64 t = 0; t < T; ++t) e.ids.push_back(static_cast<i32>(rng.below(c.V)));
      examples.push_back(std::move(e));
    }
    std::vector<const Example*> all;
    for (const Example& e : examples) all.push_back(&e);
    batches.push_back(make_batch(all));
    const double rows = static_cast<double>(T * B);
    flops = 6.0 * static_cast<double>(c.parameters()) * rows +
            6.0 * static_cast<double>(c.L * T * c.H * c.E) * rows;
  }

  double loss_and_gradient() {
    return accumulate_gradients(model, batches, keep, acts, grads, tensors, scratch);
  }
  void step() {
    loss_and_gradient();
    clip_gradients(tensors, gradient_norm(tensors), 1.0);
    adamw_step(tensors, 1e-4, {}, adamw);
  }

  /// The loss's slope along the gradient is the gradient's norm: a step of ±h on the normed gradient changes
  /// the loss by 2·h·norm. (Each tensor's entries are proven in tests/model; this shows that the timed
  /// program computes them.)
  bool correct() {
    loss_and_gradient();
    const double norm = gradient_norm(tensors), h = 0.01 / norm;
    std::vector<Tensor> direction, start;
    for (const TrainedTensor& t : tensors) direction.push_back(t.g.clone()), start.push_back(t.w.clone());
    const auto loss_at = [&](double factor) {
      for (std::size_t i = 0; i < tensors.size(); ++i)
        for (i64 k = 0; k < tensors[i].w.count(); ++k)
          tensors[i].w.f32()[k] =
              start[i].f32()[k] + static_cast<float>(factor / norm) * direction[i].f32()[k];
      return loss_only(model, batches[0].batch, batches[0].targets, acts, scratch).nll /
             static_cast<double>(batches[0].loss_tokens);
    };
    const double slope = (loss_at(h) - loss_at(-h)) / (2 * h);
    loss_at(0);
    return std::abs(slope - norm) < 0.02 * norm;
  }

  Model model;
  Params grads;
  std::vector<TrainedTensor> tensors;
  AdamWState adamw;
  Keep keep;
  Acts acts;
  BackwardScratch scratch;
  std::vector<Example> examples;
  std::vector<TrainBatch> batches;
  double flops = 0;
};

void training_step(benchmark::State& state) {
  const i64 T = state.range(5), B = state.range(6);
  const Config c =
      llama_like(state.range(0), state.range(1), state.range(2), state.range(3), state.range(4), T);
  const bool bf16 = state.range(8) != 0;
  if (bf16 && !bf16_products_are_native())
    return state.SkipWithError("this tier has no bf16 products: f32 is faster");
  Training training(c, T, B, state.range(7) != 0);
  if (!training.correct()) return state.SkipWithError("the gradient is not the slope of the loss");
  if (bf16) training.model.products = Products::bf16;
  training.step();
  run_beside_f32_peak(state, training.flops, [&] { training.step(); });
  if (const auto peak = bf16_gflop_per_s(0.1)) {
    state.counters["bf16 peak"] = *peak;
    state.counters["share of bf16"] = state.counters["GFLOP/s"] / *peak;
  }
  state.counters["tok/s"] =
      benchmark::Counter(static_cast<double>(T * B), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(training_step)
    ->ArgNames({"d", "L", "H", "ff", "V", "T", "B", "recompute", "bf16"})
    ->Args({384, 6, 8, 1536, 4096, 512, 8, 0, 0})
    ->Args({384, 6, 8, 1536, 4096, 512, 8, 1, 0})
    ->Args({384, 6, 8, 1536, 4096, 512, 8, 0, 1})
    ->Args({192, 6, 6, 512, 512, 256, 8, 0, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->MinTime(6);

}  // namespace
}  // namespace pare
