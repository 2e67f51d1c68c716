// pare eval MODEL --task T: one task on one model.
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "measure/measure.h"
#include "model/compute.h"
#include "store/resolve.h"

namespace pare::cli {
namespace {

json cell(const MetricValue& m) {
  return {{"value", m.value}, {"lo", m.lo ? json(*m.lo) : json()}, {"hi", m.hi ? json(*m.hi) : json()}};
}

const MetricValue* find(const MeasureResult& r, const std::string& name) {
  for (const MetricValue& m : r.metrics)
    if (m.name == name) return &m;
  return nullptr;
}

/// A task by its short name, gsm8k for task.gsm8k, or any measure.
const MeasureInfo& task_or_measure(const std::string& name) {
  std::vector<std::string> names;
  for (const MeasureInfo& m : measures()) {
    names.push_back(m.name.starts_with("task.") ? m.name.substr(5) : m.name);
    if (name == m.name || name == names.back()) return find_measure(m.name);
  }
  const std::string near = nearest_name(name, names);
  throw user_error(
      "--task: there is no task \"{}\"; {}",
      name,
      near.empty() ? fmt::format("there are {}", fmt::join(names, ", ")) : "did you mean \"" + near + "\"?");
}

}  // namespace

int eval(int argc, char** argv) {
  Parser parser("eval", "Run one task on one model and print the score with its interval.");
  std::string model, task = "gsm8k", data = "sums:test", shots_data, out, compute = "fast";
  i64 limit = 0, shots = 0, batch = 32, max_new_tokens = 256;
  parser.app().add_option("model", model, kModelHelp)->required();
  parser.app().add_option("--task", task, "the task, see `pare list tasks`")->required();
  parser.app().add_option("--data", data, "sums:test, or a .jsonl file of {\"question\", \"answer\"}");
  parser.app().add_option("--limit", limit, "the first so many problems")->check(at_least(0));
  parser.app().add_option("--shots", shots, "solved examples before each question")->check(at_least(0));
  parser.app().add_option(
      "--shots-data", shots_data, "where those come from, as --data (default: sums:train for sums:test)");
  parser.app()
      .add_option("--batch", batch, "problems at once (never changes an answer)")
      ->check(more_than(0));
  parser.app().add_option("--max-new-tokens", max_new_tokens, "longest answer")->check(more_than(0));
  parser.app().add_option("--compute", compute, kComputeHelp)->check(one_of(compute_names()));
  parser.app().add_option("--out", out, "folder for the per-sample JSON lines (default: the store)");
  if (!parser.parse(argc, argv)) return 0;
  const Store store(parser.common().store);
  const MeasureInfo& info = task_or_measure(task);

  MeasureInput input;
  input.model = resolve_model(model, store);
  input.data = data;
  input.compute = compute;
  input.shots = shots_data;
  input.options = {{"limit", limit}};
  if (info.name == "task.gsm8k")
    input.options = {
        {"limit", limit}, {"shots", shots}, {"batch", batch}, {"max_new_tokens", max_new_tokens}};
  const std::string key = Store::key_of({{"eval", info.name},
                                         {"model", std::filesystem::absolute(input.model).string()},
                                         {"data", data},
                                         {"limit", limit},
                                         {"shots", shots},
                                         {"shots_data", shots_data},
                                         {"max_new_tokens", max_new_tokens}});
  input.work = out.empty() ? store.root() / "eval" / key.substr(0, 16) : std::filesystem::path(out);
  std::filesystem::create_directories(input.work);
  std::filesystem::remove(input.work / "samples.jsonl");  // a new evaluation answers anew
  const Stopwatch watch;
  const MeasureResult r = info.run(input);
  const double seconds = watch.elapsed_s();

  const MetricValue* strict = find(r, "gsm8k.strict");
  if (!strict) {
    json metrics = json::object();
    std::string text;
    for (const MetricValue& m : r.metrics) {
      metrics[m.name] = cell(m);
      text += fmt::format("{:<26} {:.6g} {}\n", m.name, m.value, m.unit);
    }
    if (parser.common().json)
      print_json({{"task", info.name}, {"metrics", metrics}, {"note", r.note}, {"seconds", seconds}});
    else
      print_text(text + r.note + "\n");
    return 0;
  }
  const MetricValue &flexible = *find(r, "gsm8k.flexible"), &truncated = *find(r, "gsm8k.truncated"),
                    &no_answer = *find(r, "gsm8k.no_answer"), &wrong = *find(r, "gsm8k.wrong_arithmetic");
  const auto count = [](const MetricValue& m) { return std::llround(m.value * static_cast<double>(m.n)); };
  if (parser.common().json) {
    print_json({{"task", "gsm8k"},
                {"n", strict->n},
                {"shots", shots},
                {"compute", compute},
                {"strict", cell(*strict)},
                {"flexible", cell(flexible)},
                {"truncated", count(truncated)},
                {"no_answer", count(no_answer)},
                {"wrong_arithmetic", count(wrong)},
                {"seconds", seconds},
                {"samples", (input.work / "samples.jsonl").string()}});
    return 0;
  }
  const auto line = [](const char* name, const MetricValue& m) {
    return fmt::format("{:<10} {:.1f}%  (95% interval {:.1f} to {:.1f}, n = {})\n",
                       name,
                       100 * m.value,
                       100 * *m.lo,
                       100 * *m.hi,
                       m.n);
  };
  print_text(
      line("strict", *strict) + line("flexible", flexible) +
      fmt::format("truncated {}, no answer {}, wrong arithmetic {}; {:.1f} s, {} shots, {}\nsamples: {}\n",
                  count(truncated),
                  count(no_answer),
                  count(wrong),
                  seconds,
                  shots,
                  r.note,
                  (input.work / "samples.jsonl").string()));
  return 0;
}

}  // namespace pare::cli
