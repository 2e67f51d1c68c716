// What `pare bench` counts is what a model's step moves, and its shares are those of the limits it names.
#include "measure/model_bench.h"

#include <filesystem>

#include "model/compute.h"
#include "model/kv_cache.h"
#include "model/load.h"
#include "refusal.h"
#include "weights/int_group.h"

namespace pare {
namespace {

Model made() { return load_model(std::filesystem::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded"); }

i64 linear_values(const Config& c) { return c.L * (c.D * (2 * c.H * c.E + 2 * c.K * c.E) + 3 * c.D * c.F); }

TEST(ModelBench, AStepReadsEveryLinearWeightARowOfTheEmbeddingAndTheCache) {
  const Model m = made();
  const Config& c = m.config;
  ASSERT_FALSE(c.tied);
  const i64 weights = 2 * (linear_values(c) + c.V * c.D), row = 2 * c.D, kv = 2 * c.K * c.E * c.L * 4;
  EXPECT_EQ(decode_step_bytes(m, 1, 0), static_cast<double>(weights + row));
  EXPECT_EQ(decode_step_bytes(m, 3, 10), static_cast<double>(weights + 3 * (row + 10 * kv)));
}

TEST(ModelBench, APackedWeightCountsAsItLies) {
  Model m = made();
  const double dense = decode_step_bytes(m, 1, 0);
  Weight& w = m.params.layers[0].wq;
  const i64 before = w.bytes();
  w = quantize_int_group(w.decode_all(), {4, 32});
  EXPECT_EQ(decode_step_bytes(m, 1, 0), dense - static_cast<double>(before - w.bytes()));
}

TEST(ModelBench, OperationsOfAPromptAreTwoForEachWeightAndTokenAndAttentionsHalf) {
  const Config c = made().config;
  const auto of_token = static_cast<double>(2 * linear_values(c)), head = static_cast<double>(2 * c.V * c.D);
  const auto attention = static_cast<double>(2 * c.H * c.E * c.L);
  EXPECT_EQ(prompt_operations(c, 1, 1), of_token + attention + head);
  EXPECT_EQ(prompt_operations(c, 2, 8), 2 * (8 * of_token + 64 * attention + head));
}

TEST(ModelBench, SharesAreThoseOfTheLimitsThatItNames) {
  const Model m = made();
  const SpeedOptions o{.prompt_tokens = 6, .new_tokens = 4, .batch = 2, .repeats = 1};
  const ModelBench b = bench_model(m, o);
  EXPECT_EQ(b.peak, "f32");
  const double bytes = decode_step_bytes(m, 2, 8);
  EXPECT_DOUBLE_EQ(b.decode_share * b.read_limit_gb_per_s * b.speed.decode_p50_s * 1e9, bytes);
  EXPECT_DOUBLE_EQ(b.prompt_share * b.peak_gop_per_s * b.speed.ttft_p50_s * 1e9,
                   prompt_operations(m.config, 2, 6));
  EXPECT_EQ(b.predicted.weights, param_bytes(m));
  EXPECT_EQ(b.predicted.kv, 2 * KvCache::bytes_for(m.config, 10));
  EXPECT_EQ(b.predicted.total(), b.predicted.weights + b.predicted.kv + b.predicted.scratch);
  EXPECT_GT(b.peak_rss_bytes, 0);
}

TEST(ModelBench, WhatDoesNotFitTheModelIsRefused) {
  const Model m = made();
  const std::string message = refusal([&] {
    bench_model(m, {.prompt_tokens = m.config.max_positions, .new_tokens = 2, .batch = 1, .repeats = 1});
  });
  EXPECT_NE(message.find("ask for fewer"), std::string::npos) << message;
}

}  // namespace
}  // namespace pare
