#include "pipeline/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/isa.h"
#include "base/threads.h"
#include "measure/machine.h"
#include "measure/measure.h"
#include "track/runs.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// Tokens that go through the model for one measure; rough, then corrected by what earlier runs took.
double measure_tokens(const MeasureUse& use) {
  const auto option = [&](const char* name, double fallback) {
    return use.options.contains(name) && use.options[name].is_number() ? use.options[name].get<double>()
                                                                       : fallback;
  };
  if (use.name.starts_with("task.")) return option("limit", 1000) * (80 + 200 * (1 + option("shots", 0)));
  if (use.name == "speed") return 6 * 112;
  if (use.name == "perplexity") return 50'000;
  if (use.name == "divergence") return 100'000;
  if (use.name == "memory") return 200;
  return 0;
}

Cost measure_cost(const MeasureUse& use, const ModelShape& m) {
  Cost cost;
  const double parameters = static_cast<double>(m.config.parameters());
  cost.s = 0.05 + measure_tokens(use) * parameters * 2 / (8e9 * std::max(1, threads())) +
           static_cast<double>(m.disk_bytes) * 1e-9;
  const i64 cache =
      2 * m.config.L * m.config.K * m.config.E * 4 * std::min<i64>(m.config.max_positions, 1024) * 32;
  const i64 models = find_measure(use.name).needs_baseline ? 2 : 1;
  if (measure_tokens(use) > 0) cost.peak_bytes = cache + 512 * m.config.V * 4;
  cost.peak_bytes += 80'000'000 + models * m.disk_bytes;
  return cost;
}

/// Median of measured / predicted seconds of earlier executions; 1 without any.
double correction(const RunsDb& db, const std::string& stage) {
  std::vector<double> ratios;
  for (const StageTime& t : db.stage_times(stage, isa_name()))
    if (t.s_predicted > 1e-6 && t.s_measured > 0) ratios.push_back(t.s_measured / t.s_predicted);
  if (ratios.empty()) return 1;
  std::nth_element(
      ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2), ratios.end());
  return std::clamp(ratios[ratios.size() / 2], 0.01, 100.0);
}

std::string gb(double bytes) { return fmt::format("{:.2f} GB", bytes * 1e-9); }

const PlanRow& largest(const std::vector<const PlanRow*>& rows) {
  return **std::max_element(rows.begin(), rows.end(), [](const PlanRow* a, const PlanRow* b) {
    return a->peak_bytes < b->peak_bytes;
  });
}

}  // namespace

std::vector<PlanRow> plan_of(const Prepared& p) {
  const RunsDb db;
  std::vector<PlanRow> rows;
  std::string baseline_hash;
  for (const Chain& chain : p.chains) {
    ModelShape shape = p.shape;
    std::string hash = chain.steps.empty() ? p.source_hash : "";
    for (const StageStep& step : chain.steps) {
      if (step.stage->trains) shape = {};
      const Cost cost = step.stage->estimate(step.options, shape);
      const std::optional<Artefact> found = p.store.find(step.key);
      hash = found ? found->hash : "";
      rows.push_back({chain.name,
                      step.stage->name,
                      found.has_value(),
                      found ? 0 : cost.s * correction(db, step.stage->name),
                      cost.peak_bytes,
                      cost.disk_bytes});
      if (found)
        shape = model_shape(found->dir);
      else
        shape.disk_bytes = cost.disk_bytes;
    }
    if (&chain == &p.chains.front()) baseline_hash = hash;
    for (const MeasureUse& use : p.recipe.measures) {
      const std::string against = &chain == &p.chains.front() ? "" : baseline_hash;
      const bool cached =
          !hash.empty() && p.store.find_result(Store::key_of(measure_inputs(p, use, hash, against)));
      const Cost cost = measure_cost(use, shape);
      const std::string name = "measure:" + use.name;
      rows.push_back(
          {chain.name, name, cached, cached ? 0 : cost.s * correction(db, name), cost.peak_bytes, 0});
    }
  }
  return rows;
}

void refuse_what_does_not_fit(const Prepared& p, const std::vector<PlanRow>& plan, bool yes) {
  std::vector<const PlanRow*> todo;
  double s = 0, disk = 0;
  for (const PlanRow& row : plan)
    if (!row.cached) {
      todo.push_back(&row);
      s += row.s;
      disk += static_cast<double>(row.disk_bytes);
    }
  if (todo.empty()) return;
  const PlanRow& top = largest(todo);
  const double memory = static_cast<double>(top.peak_bytes);
  const std::string file = p.recipe.file.string();
  const Limits& limits = p.recipe.limits;
  if (limits.memory_gb && memory > *limits.memory_gb * 1e9)
    throw user_error(
        "{}: {} of {} is expected to take {} of memory, limits.memory_gb is {}; raise it or take a smaller "
        "model",
        file,
        top.stage,
        top.variant,
        gb(memory),
        *limits.memory_gb);
  if (limits.time_h && s > *limits.time_h * 3600)
    throw user_error(
        "{}: the run is expected to take {:.3g} h, limits.time_h is {}; raise it or run fewer variants "
        "(--only)",
        file,
        s / 3600,
        *limits.time_h);
  if (limits.disk_gb && disk > *limits.disk_gb * 1e9)
    throw user_error(
        "{}: the artefacts are expected to take {} of disk, limits.disk_gb is {}; raise it or run fewer "
        "variants (--only)",
        file,
        gb(disk),
        *limits.disk_gb);
  if (yes) return;
  const double free_memory = static_cast<double>(available_memory_bytes());
  const double needed = memory - static_cast<double>(p.shape.disk_bytes);
  if (needed > free_memory)
    throw user_error(
        "{}: {} of {} is expected to take {} of memory, {} are free; take a smaller model, or --yes to try "
        "all the same",
        file,
        top.stage,
        top.variant,
        gb(needed),
        gb(free_memory));
  std::error_code failed;
  const fs::space_info space = fs::space(p.store.root(), failed);
  // The journal and the artefact exist side by side for a moment.
  if (!failed && disk * 2 > static_cast<double>(space.available))
    throw user_error(
        "{}: the artefacts and their journals are expected to take {} in {}, {} are free; `pare gc` makes "
        "room, --store takes another disk",
        file,
        gb(disk * 2),
        p.store.root().string(),
        gb(static_cast<double>(space.available)));
}

std::vector<PlanRow> plan_recipe(const fs::path& recipe, const RunOptions& options) {
  return plan_of(prepare(recipe, options));
}

json plan_json(const std::vector<PlanRow>& plan) {
  json out = json::array();
  for (const PlanRow& r : plan)
    out.push_back({{"variant", r.variant},
                   {"stage", r.stage},
                   {"cached", r.cached},
                   {"s", r.s},
                   {"peak_bytes", r.peak_bytes},
                   {"disk_bytes", r.disk_bytes}});
  return out;
}

}  // namespace pare
