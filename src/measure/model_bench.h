// What a model's speed is worth on this machine: its times beside the bytes and operations that they move, as
// shares of the machine's limits, and its memory beside what was predicted.
//
//   decoding   a step reads every linear weight, a row of the embedding for each sequence, and the keys and
//              values so far:  share = bytes / median step / read bandwidth
//   a prompt   2 operations for each weight of the layers and token, 2·T²·H·E·L for causal attention, the
//   head
//              for the last row:  share = operations / median time to first token / peak of the arithmetic
//              used
//
// On a shared machine limits change from minute to minute: they are probed before and after each case and the
// mean of both is taken.
#pragma once
#include <string>

#include "measure/speed.h"
#include "model/params.h"

namespace pare {

/// Bytes that one step of decoding reads, `tokens` of each of `batch` sequences before it.
double decode_step_bytes(const Model& model, i64 batch, i64 tokens);
/// Operations until the first token of `batch` prompts of `tokens` tokens each.
double prompt_operations(const Config& c, i64 batch, i64 tokens);

/// Bytes resident while `batch` sequences of up to `tokens` tokens run, the first `prompt` of them in one
/// pass.
struct MemoryUse {
  i64 weights = 0, kv = 0, scratch = 0;
  i64 total() const { return weights + kv + scratch; }
};
MemoryUse predicted_memory(const Model& model, i64 batch, i64 prompt, i64 tokens);

struct ModelBench {
  SpeedOptions options;  // shortened to the model's positions
  Speed speed;
  double read_limit_gb_per_s = 0, decode_share = 0;
  std::string peak;  // "int8", "bf16", "f32": of the arithmetic that the layers' products are in
  double peak_gop_per_s = 0, prompt_share = 0;
  MemoryUse predicted;
  i64 peak_rss_bytes = 0;  // of the whole process while the case ran
};

/// One case. Throws a user error where prompt and new tokens do not fit the model's positions.
ModelBench bench_model(const Model& model, const SpeedOptions& options);

}  // namespace pare
