// Measure `task.gsm8k`: share of problems answered right, strict and flexible, with what went wrong.
#include "eval/gsm8k_task.h"
#include "eval/measure_options.h"
#include "eval/proportions.h"
#include "measure/measure.h"
#include "model/load.h"
#include "text/problem_source.h"

namespace pare {
namespace {

MetricValue share(const std::string& name, i64 k, std::vector<double> samples) {
  const i64 n = static_cast<i64>(samples.size());
  const Interval interval = wilson_interval(k, n);
  MetricValue m;
  m.name = name;
  m.value = n ? static_cast<double>(k) / static_cast<double>(n) : 0;
  m.lo = interval.lo;
  m.hi = interval.hi;
  m.n = n;
  m.samples = std::move(samples);
  m.binary = true;
  return m;
}

MeasureResult measure(const MeasureInput& in) {
  const std::string name = "task.gsm8k";
  check_measure_options(name, in.options, {"limit", "shots", "batch", "max_new_tokens"});
  check_measure_options(
      "decode", in.decode, {"temperature", "top_k", "top_p", "seed", "max_new_tokens", "stop"});
  Gsm8kOptions o;
  o.shots = measure_integer(name, in.options, "shots", 0);
  o.batch = measure_integer(name, in.options, "batch", 32, 1);
  o.max_new_tokens = measure_integer("decode", in.decode, "max_new_tokens", 256, 1);
  o.max_new_tokens = measure_integer(name, in.options, "max_new_tokens", o.max_new_tokens, 1);
  if (!in.decode.is_null()) {
    o.sampler.temperature = in.decode.value("temperature", 0.0);
    o.sampler.top_k = in.decode.value("top_k", i64{0});
    o.sampler.top_p = in.decode.value("top_p", 1.0);
    o.sampler.seed = in.decode.value("seed", u64{0});
    if (in.decode.contains("stop")) o.stop_strings = in.decode["stop"].get<std::vector<std::string>>();
  }
  const Model model = load_model(in.model);
  const auto tokenizer = Tokenizer::load(in.model);
  const auto problems = problems_of(in.data, measure_integer(name, in.options, "limit", 0));
  const auto shots = o.shots > 0 ? problems_of("sums:train", o.shots) : std::vector<Problem>{};
  const Gsm8kResult r = run_gsm8k(model, *tokenizer, problems, shots, o, in.work / "samples.jsonl", "gsm8k");

  const auto samples = [&](auto&& of) {
    std::vector<double> out;
    for (const Gsm8kSample& s : r.samples) out.push_back(of(s) ? 1 : 0);
    return out;
  };
  MeasureResult result;
  result.metrics = {
      share("gsm8k.strict", r.strict, samples([](const Gsm8kSample& s) { return s.strict_correct; })),
      share("gsm8k.flexible", r.flexible, samples([](const Gsm8kSample& s) { return s.flexible_correct; })),
      share("gsm8k.truncated", r.truncated, samples([](const Gsm8kSample& s) { return s.truncated; })),
      share("gsm8k.no_answer", r.no_answer, samples([](const Gsm8kSample& s) {
              return s.error == AnswerError::no_answer;
            })),
      share("gsm8k.wrong_arithmetic", r.wrong_arithmetic, samples([](const Gsm8kSample& s) {
              return s.error == AnswerError::wrong_arithmetic;
            }))};
  result.note = fmt::format(
      "gsm8k: {} problems of {}, {} shots, {}",
      problems.size(),
      in.data,
      o.shots,
      o.sampler.temperature == 0 ? "greedy" : fmt::format("temperature {}", o.sampler.temperature));
  return result;
}

const bool added = add_measure({.name = "task.gsm8k",
                                .version = 1,
                                .summary = "GSM8K-style word problems, strict and flexible",
                                .run = measure});

}  // namespace
}  // namespace pare
