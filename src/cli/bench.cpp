// pare bench MODEL: speed and memory as shares of this machine's limits.
#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/isa.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "measure/machine.h"
#include "measure/model_bench.h"
#include "model/compute.h"
#include "store/resolve.h"

namespace pare::cli {
namespace {

struct Arguments {
  std::string model, compute = "fast";
  std::vector<i64> batches = {1, 4, 16}, prompts = {128};
  i64 new_tokens = 32, repeats = 3;
};

struct Case {
  ModelBench bench;
  i64 resident_bytes = 0;  // at most, more than before the model was loaded
};

json case_json(const Case& c) {
  const ModelBench& b = c.bench;
  const Speed& s = b.speed;
  return {{"batch", b.options.batch},
          {"prompt_tokens", b.options.prompt_tokens},
          {"new_tokens", b.options.new_tokens},
          {"repeats", b.options.repeats},
          {"ttft_s", s.ttft_p50_s},
          {"prefill_tok_per_s", s.prefill_tok_per_s},
          {"prefill_share", b.prompt_share},
          {"peak", b.peak},
          {"peak_gop_per_s", b.peak_gop_per_s},
          {"decode_tok_per_s", s.decode_tok_per_s},
          {"decode_tok_per_s_lo", s.decode_lo},
          {"decode_tok_per_s_hi", s.decode_hi},
          {"decode_p50_s", s.decode_p50_s},
          {"decode_p90_s", s.decode_p90_s},
          {"decode_p99_s", s.decode_p99_s},
          {"decode_share", b.decode_share},
          {"read_limit_gb_per_s", b.read_limit_gb_per_s},
          {"weight_bytes", b.predicted.weights},
          {"kv_bytes", b.predicted.kv},
          {"scratch_bytes", b.predicted.scratch},
          {"predicted_bytes", b.predicted.total()},
          {"resident_bytes", c.resident_bytes}};
}

std::string table(const std::vector<Case>& cases) {
  std::string out =
      fmt::format("{:>5} {:>6}  {:>9} {:>10} {:>6}  {:>10} {:>9} {:>9} {:>9} {:>6}  {:>9} {:>9}\n",
                  "batch",
                  "prompt",
                  "ttft",
                  "prefill",
                  "share",
                  "decode",
                  "p50",
                  "p90",
                  "p99",
                  "share",
                  "predicted",
                  "resident");
  for (const Case& c : cases) {
    const Speed& s = c.bench.speed;
    out += fmt::format(
        "{:>5} {:>6}  {:>6.1f} ms {:>6.0f} t/s {:>5.0f}%  {:>6.1f} t/s {:>6.2f} ms {:>6.2f} ms {:>6.2f} ms "
        "{:>5.0f}%  {:>9} {:>9}\n",
        c.bench.options.batch,
        c.bench.options.prompt_tokens,
        s.ttft_p50_s * 1e3,
        s.prefill_tok_per_s,
        c.bench.prompt_share * 100,
        s.decode_tok_per_s,
        s.decode_p50_s * 1e3,
        s.decode_p90_s * 1e3,
        s.decode_p99_s * 1e3,
        c.bench.decode_share * 100,
        bytes_text(c.bench.predicted.total()),
        bytes_text(c.resident_bytes));
  }
  return out;
}

/// The cases that fit the model's positions; the others are named on stderr.
std::vector<SpeedOptions> cases_of(const Arguments& a, const Config& c) {
  std::vector<SpeedOptions> cases;
  std::vector<i64> left_out;
  for (const i64 prompt : a.prompts) {
    if (prompt + a.new_tokens > c.max_positions) {
      left_out.push_back(prompt);
      continue;
    }
    for (const i64 batch : a.batches) cases.push_back({prompt, a.new_tokens, batch, a.repeats});
  }
  if (cases.empty())
    throw user_error("bench: nothing fits the {} positions of this model; ask for a shorter --prompt",
                     c.max_positions);
  for (const i64 prompt : left_out)
    log_warning("left out: a prompt of {} and {} new tokens; the model takes {} in all",
                prompt,
                a.new_tokens,
                c.max_positions);
  return cases;
}

}  // namespace

int bench(int argc, char** argv) {
  Parser parser("bench", "Time a model on random prompts, beside the limits of this machine.");
  Arguments a;
  CLI::App& app = parser.app();
  app.add_option("model", a.model, kModelHelp)->required();
  app.add_option("--batch", a.batches, "sequences at once, a list: 1,4,16")
      ->delimiter(',')
      ->check(more_than(0));
  app.add_option("--prompt", a.prompts, "tokens of the prompts, a list: 128,2048")
      ->delimiter(',')
      ->check(more_than(0));
  app.add_option("--gen", a.new_tokens, "tokens that are decoded after it")->check(more_than(1));
  app.add_option("--repeats", a.repeats, "runs of each case, after one that does not count")
      ->check(more_than(0));
  app.add_option("--compute", a.compute, kComputeHelp)->check(one_of(compute_names()));
  if (!parser.parse(argc, argv)) return 0;

  const auto dir = resolve_model(a.model, Store(parser.common().store));
  const i64 before = rss_bytes();
  const Stopwatch watch;
  const Model model = load_model(dir, a.compute);
  const double load_s = watch.elapsed_s();
  const std::vector<SpeedOptions> options = cases_of(a, model.config);
  measure_speed(model, {.prompt_tokens = 16, .new_tokens = 1, .batch = 1, .repeats = 0});
  const double first_token_s = watch.elapsed_s();

  std::vector<Case> cases;
  Progress progress("bench", static_cast<i64>(options.size()));
  for (const SpeedOptions& o : options) {
    ModelBench b = bench_model(model, o);
    const i64 resident_bytes = std::max<i64>(0, b.peak_rss_bytes - before);
    cases.push_back({std::move(b), resident_bytes});
    progress.advance();
  }
  progress.finish();
  if (parser.common().json) {
    json all = json::array();
    for (const Case& c : cases) {
      json j = case_json(c);
      j["model"] = dir.string();
      j["arithmetic"] = arithmetic_of(model);
      j["load_s"] = load_s;
      j["start_to_first_token_s"] = first_token_s;
      all.push_back(j);
    }
    print_json(all);
    return 0;
  }
  const ModelBench& last = cases.back().bench;
  print_text(
      fmt::format("{} · {} · arithmetic {} · {} threads\nlimits: read {:.1f} GB/s, {} {:.0f} Gop/s · loaded "
                  "in {:.0f} ms, "
                  "first token of a short prompt {:.0f} ms after the start\n\n",
                  cpu_name(),
                  isa_name(),
                  arithmetic_of(model),
                  threads(),
                  last.read_limit_gb_per_s,
                  last.peak,
                  last.peak_gop_per_s,
                  load_s * 1e3,
                  first_token_s * 1e3));
  print_text(table(cases));
  print_text(
      "\nprefill share: of that peak; decode share: of the read bandwidth, by the bytes of weights, keys and "
      "values\n");
  return 0;
}

}  // namespace pare::cli
