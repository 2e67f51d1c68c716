// Measures `speed` and `memory`: time to first token, decoding, resident memory, on the artefact re-loaded
// from disk.
#include "eval/measure_options.h"
#include "measure/machine.h"
#include "measure/measure.h"
#include "measure/speed.h"
#include "model/load.h"

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

SpeedOptions options_of(const std::string& name, const MeasureInput& in) {
  check_measure_options(name, in.options, {"prompt", "gen", "batch", "repeats"});
  SpeedOptions o;
  o.prompt_tokens = measure_integer(name, in.options, "prompt", o.prompt_tokens, 1);
  o.new_tokens = measure_integer(name, in.options, "gen", o.new_tokens, 2);
  o.batch = measure_integer(name, in.options, "batch", o.batch, 1);
  o.repeats = measure_integer(name, in.options, "repeats", o.repeats, 1);
  return o;
}

MeasureResult speed(const MeasureInput& in) {
  const SpeedOptions o = options_of("speed", in);
  const Speed s = measure_speed(load_model(in.model), o);
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
  r.note = fmt::format("speed: prompt {}, {} new tokens, batch {}, medians of {} runs",
                       o.prompt_tokens,
                       o.new_tokens,
                       o.batch,
                       o.repeats);
  return r;
}

MeasureResult memory(const MeasureInput& in) {
  SpeedOptions o = options_of("memory", in);
  o.repeats = 1;
  const i64 before = rss_bytes();
  reset_peak_rss();
  const Model model = load_model(in.model);
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
                                      .version = 1,
                                      .summary = "time to first token, decode rate, p50/p90/p99",
                                      .run = speed});
const bool added_memory =
    add_measure({.name = "memory",
                 .version = 1,
                 .summary = "peak resident bytes of loading and decoding, bytes of weights",
                 .run = memory});

}  // namespace
}  // namespace pare
