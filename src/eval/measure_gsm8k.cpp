// Measure `task.gsm8k`: share of problems answered right, strict and flexible, with what went wrong.
#include "eval/gsm8k_task.h"
#include "eval/measure_options.h"
#include "eval/proportions.h"
#include "eval/texts.h"
#include "measure/measure.h"
#include "model/compute.h"
#include "text/problem_source.h"
#include "text/tokenizer.h"

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

struct Options {
  Gsm8kOptions task;
  i64 limit;
};

Options options_of(const json& options, const json& decode) {
  const std::string name = "task.gsm8k";
  check_measure_options(name, options, {"limit", "shots", "batch", "max_new_tokens"});
  check_measure_options(
      "decode", decode, {"temperature", "top_k", "top_p", "seed", "max_new_tokens", "stop"});
  Options out;
  Gsm8kOptions& o = out.task;
  out.limit = measure_integer(name, options, "limit", 0);
  o.shots = measure_integer(name, options, "shots", 0);
  o.batch = measure_integer(name, options, "batch", 32, 1);
  o.max_new_tokens = measure_integer("decode", decode, "max_new_tokens", 256, 1);
  o.max_new_tokens = measure_integer(name, options, "max_new_tokens", o.max_new_tokens, 1);
  if (decode.is_null()) return out;
  try {
    o.sampler.temperature = decode.value("temperature", 0.0);
    o.sampler.top_k = decode.value("top_k", i64{0});
    o.sampler.top_p = decode.value("top_p", 1.0);
    o.sampler.seed = decode.value("seed", u64{0});
    if (decode.contains("stop")) o.stop_strings = decode["stop"].get<std::vector<std::string>>();
  } catch (const json::exception&) {
    throw user_error(
        "decode: found {}, expected numbers (temperature, top_k, top_p, seed) and a list of texts (stop)",
        decode.dump());
  }
  return out;
}

void check(const json& options, const json& decode) { options_of(options, decode); }

MeasureCost estimate(const MeasureLoad& load) {
  const Options o = options_of(load.options, load.decode);
  const Config& c = load.config;
  const double problems = static_cast<double>(o.limit > 0 ? o.limit : 1000);
  // A prompt is about half of a problem's tokens, and shots come before each.
  const double tokens = expected_tokens(load.data, o.limit) * (1 + static_cast<double>(o.task.shots));
  const double new_tokens = std::min(tokens / 2, problems * static_cast<double>(o.task.max_new_tokens));
  // Every step reads all weights once for the whole batch.
  const double read_s = new_tokens / static_cast<double>(o.task.batch) *
                        static_cast<double>(load.model_bytes) / std::max(load.bytes_per_s, 1.0);
  // Caches grow by blocks; most problems end in the block of the mean.
  const i64 length =
      std::min<i64>(c.max_positions, (static_cast<i64>(tokens / problems) / kKvBlock + 1) * kKvBlock);
  // A step of decoding has few rows for its products and its attention.
  constexpr double kDecodeFactor = 4;
  const double compute_s = forward_s(load, tokens - new_tokens) + kDecodeFactor * forward_s(load, new_tokens);
  return {std::max(compute_s, read_s),
          load.model_bytes + o.task.batch * KvCache::bytes_for(c, length) +
              activation_bytes(c, GenerateOptions{}.prefill_rows, o.task.batch)};
}

/// Solved examples to show. Never of the data that is judged: without a source, only the generator has
/// others.
std::vector<Problem> shots_of(const MeasureInput& in, i64 shots) {
  if (shots == 0) return {};
  if (in.shots.empty() && !in.data.starts_with("sums:"))
    throw user_error(
        "task.gsm8k: {} shots need solved examples that are not judged; name them, such as the task's "
        "train.jsonl, by data.shots in the recipe or --shots-data",
        shots);
  const std::string source = in.shots.empty() ? "sums:train" : in.shots;
  std::vector<Problem> out = problems_of(source, shots);
  if (static_cast<i64>(out.size()) < shots)
    throw user_error("task.gsm8k: {} has {} examples, expected {} shots", source, out.size(), shots);
  return out;
}

MeasureResult measure(const MeasureInput& in) {
  const auto [o, limit] = options_of(in.options, in.decode);
  const Model model = load_model(in.model, in.compute);
  const auto tokenizer = Tokenizer::load(in.model);
  const auto problems = problems_of(in.data, limit);
  const auto shots = shots_of(in, o.shots);
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
      "{} problems of {}, {} shots, {}",
      problems.size(),
      in.data,
      o.shots,
      o.sampler.temperature == 0 ? "greedy" : fmt::format("temperature {}", o.sampler.temperature));
  return result;
}

const bool added = add_measure({.name = "task.gsm8k",
                                .version = 1,
                                .summary = "GSM8K-style word problems, strict and flexible",
                                .check = check,
                                .estimate = estimate,
                                .run = measure});

}  // namespace
}  // namespace pare
