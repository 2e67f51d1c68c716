// Measures `speed` and `memory`: time to first token, decoding, resident memory, on the artefact re-loaded
// from disk.
#include "eval/measure_options.h"
#include "measure/machine.h"
#include "measure/measure.h"
#include "measure/speed.h"
#include "model/compute.h"
#include "model/kv_cache.h"

namespace pare {
namespace {

MetricValue seconds(const std::string& name, double value, std::size_t n) {
  MetricValue m;
  m.name = name;
  m.value = value;
  m.n = static_cast<i64>(n);
  m.unit = "s";
  m.repeatable = false;
  return m;
}

SpeedOptions options_of(const std::string& name, const json& options) {
  check_measure_options(name, options, {"prompt", "gen", "batch", "repeats"});
  SpeedOptions o;
  o.prompt_tokens = measure_integer(name, options, "prompt", o.prompt_tokens, 1);
  o.new_tokens = measure_integer(name, options, "gen", o.new_tokens, 2);
  o.batch = measure_integer(name, options, "batch", o.batch, 1);
  o.repeats = measure_integer(name, options, "repeats", o.repeats, 1);
  return o;
}

/// Tokens one after the other: each reads all weights and unpacks packed ones; a few loops of a layer start
/// and end meanwhile.
MeasureCost cost(const SpeedOptions& o, const MeasureLoad& load) {
  constexpr double kUnpackedPerS = 4e9;
  const Config& c = load.config;
  const double parameters = static_cast<double>(c.parameters()),
               bytes = static_cast<double>(load.model_bytes);
  const double unpack_s = bytes < 1.5 * parameters ? parameters / kUnpackedPerS : 0;
  const double step_s = bytes / std::max(load.bytes_per_s, 1.0) + unpack_s +
                        forward_s(load, static_cast<double>(o.batch)) + 5e-5 * static_cast<double>(c.L);
  const double runs = static_cast<double>(o.repeats + 1);
  return {runs * (static_cast<double>(o.new_tokens) * step_s +
                  forward_s(load, static_cast<double>(o.batch * o.prompt_tokens))),
          load.model_bytes + o.batch * KvCache::bytes_for(c, o.prompt_tokens + o.new_tokens) +
              activation_bytes(c, o.batch * o.prompt_tokens, o.batch)};
}

void check_speed(const json& options, const json&) { options_of("speed", options); }
void check_memory(const json& options, const json&) { options_of("memory", options); }
MeasureCost estimate_speed(const MeasureLoad& load) { return cost(options_of("speed", load.options), load); }
MeasureCost estimate_memory(const MeasureLoad& load) {
  SpeedOptions o = options_of("memory", load.options);
  o.repeats = 1;
  return cost(o, load);
}

MeasureResult speed(const MeasureInput& in) {
  const SpeedOptions o = options_of("speed", in.options);
  const Speed s = measure_speed(load_model(in.model, in.compute), o);
  const auto rate = [&](const std::string& name, double value, std::size_t n) {
    MetricValue m = seconds(name, value, n);
    m.unit = "tok/s";
    return m;
  };
  MeasureResult r;
  r.metrics = {rate("speed.decode_tok_per_s", s.decode_tok_per_s, s.decode_s.size()),
               rate("speed.prefill_tok_per_s", s.prefill_tok_per_s, s.ttft_s.size()),
               seconds("speed.ttft_s", s.ttft_p50_s, s.ttft_s.size()),
               seconds("speed.decode_p50_s", s.decode_p50_s, s.decode_s.size()),
               seconds("speed.decode_p90_s", s.decode_p90_s, s.decode_s.size()),
               seconds("speed.decode_p99_s", s.decode_p99_s, s.decode_s.size())};
  r.metrics.front().lo = s.decode_lo;
  r.metrics.front().hi = s.decode_hi;
  r.note =
      fmt::format("prompt {}, {} new tokens, batch {}, medians of {} runs; interval: slowest to fastest run",
                  o.prompt_tokens,
                  o.new_tokens,
                  o.batch,
                  o.repeats);
  return r;
}

MeasureResult memory(const MeasureInput& in) {
  SpeedOptions o = options_of("memory", in.options);
  o.repeats = 1;
  reset_peak_rss();
  const i64 before = rss_bytes();
  const Model model = load_model(in.model, in.compute);
  measure_speed(model, o);
  MetricValue peak;
  peak.name = "memory.peak_bytes";
  peak.value = static_cast<double>(std::max<i64>(0, peak_rss_bytes() - before));
  peak.unit = "bytes";
  peak.n = 1;
  peak.repeatable = false;
  MetricValue weights;
  weights.name = "memory.weight_bytes";
  weights.value = static_cast<double>(param_bytes(model));
  weights.unit = "bytes";
  weights.n = 1;
  return {{peak, weights}, false, ""};
}

const bool added_speed = add_measure({.name = "speed",
                                      .version = 2,
                                      .summary = "time to first token, decode rate, p50/p90/p99",
                                      .check = check_speed,
                                      .estimate = estimate_speed,
                                      .run = speed});
const bool added_memory =
    add_measure({.name = "memory",
                 .version = 2,
                 .summary = "peak resident bytes of loading and decoding, bytes of weights",
                 .check = check_memory,
                 .estimate = estimate_memory,
                 .run = memory});

}  // namespace
}  // namespace pare
