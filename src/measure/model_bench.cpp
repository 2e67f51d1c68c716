#include "measure/model_bench.h"

#include <algorithm>

#include "base/error.h"
#include "measure/activations.h"
#include "measure/machine.h"
#include "model/compute.h"
#include "model/kv_cache.h"

namespace pare {
namespace {

constexpr double kProbeS = 0.1;

/// Calls visit(weight) for every linear weight of the layers.
template <class Visit>
void each_linear(const Model& m, const Visit& visit) {
  for (const LayerParams& p : m.params.layers)
    for (const Weight* w : {&p.wq, &p.wk, &p.wv, &p.wo, &p.w_gate, &p.w_up, &p.w_down})
      if (w->defined()) visit(*w);
}

std::string peak_name(const Model& m) {
  const std::string arithmetic = arithmetic_of(m);
  if (arithmetic.find("a8") != std::string::npos && int8_gop_per_s(0.01)) return "int8";
  return arithmetic.find("bf16") != std::string::npos ? "bf16" : "f32";
}

double peak_gop_per_s(const std::string& name) {
  if (name == "int8") return int8_gop_per_s(kProbeS).value_or(0);
  if (name == "bf16") return bf16_gflop_per_s(kProbeS).value_or(0);
  return f32_gflop_per_s(kProbeS);
}

}  // namespace

double decode_step_bytes(const Model& model, i64 batch, i64 tokens) {
  const Config& c = model.config;
  i64 bytes = model.params.head.bytes();
  each_linear(model, [&](const Weight& w) { bytes += w.bytes(); });
  bytes += batch * model.params.embed.bytes() / std::max<i64>(1, c.V);
  const i64 of_token = 2 * c.K * c.E * c.L * static_cast<i64>(sizeof(float));
  return static_cast<double>(bytes + batch * tokens * of_token);
}

double prompt_operations(const Config& c, i64 batch, i64 tokens) {
  const i64 gates = c.mlp == Mlp::gated_silu ? 3 : 2;
  const i64 layer = c.D * (2 * c.H * c.E + 2 * c.K * c.E) + gates * c.D * c.F;
  const auto rows = static_cast<double>(tokens);
  const double of_layers = 2.0 * static_cast<double>(layer * c.L) * rows;
  const double attention = 2.0 * rows * rows * static_cast<double>(c.H * c.E * c.L);
  return static_cast<double>(batch) * (of_layers + attention + 2.0 * static_cast<double>(c.V * c.D));
}

MemoryUse predicted_memory(const Model& model, i64 batch, i64 prompt, i64 tokens) {
  const Config& c = model.config;
  return {
      param_bytes(model), batch * KvCache::bytes_for(c, tokens), activation_bytes(c, batch * prompt, batch)};
}

ModelBench bench_model(const Model& model, const SpeedOptions& options) {
  const i64 room = model.config.max_positions;
  if (options.prompt_tokens + options.new_tokens > room)
    throw user_error("{} tokens of a prompt and {} new ones: the model takes {} in all; ask for fewer",
                     options.prompt_tokens,
                     options.new_tokens,
                     room);
  ModelBench out;
  out.options = options;
  out.peak = peak_name(model);
  // The probe's buffer is gone while the case runs: its memory is measured too.
  const double read = ReadProbe().gb_per_s(), peak = peak_gop_per_s(out.peak);
  reset_peak_rss();
  out.speed = measure_speed(model, options);
  out.peak_rss_bytes = pare::peak_rss_bytes();
  out.read_limit_gb_per_s = 0.5 * (read + ReadProbe().gb_per_s());
  out.peak_gop_per_s = 0.5 * (peak + peak_gop_per_s(out.peak));
  // Half of the new tokens are there on average.
  const i64 tokens = options.prompt_tokens + options.new_tokens / 2;
  const double bytes = decode_step_bytes(model, options.batch, tokens);
  out.decode_share = bytes * 1e-9 / out.speed.decode_p50_s / out.read_limit_gb_per_s;
  out.prompt_share = prompt_operations(model.config, options.batch, options.prompt_tokens) * 1e-9 /
                     out.speed.ttft_p50_s / out.peak_gop_per_s;
  out.predicted = predicted_memory(
      model, options.batch, options.prompt_tokens, options.prompt_tokens + options.new_tokens);
  return out;
}

}  // namespace pare
