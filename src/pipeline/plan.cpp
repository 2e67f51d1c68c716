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

/// The speeds that estimates rest on: the f32 peak now, and a memory of any laptop (measuring it would take
/// longer than what is planned).
struct Speeds {
  double flop_per_s = planning_f32_gflop_per_s() * 1e9;
  double bytes_per_s = 15e9;
};

Cost measure_cost(
    const MeasureUse& use, const Prepared& p, const ModelShape& m, i64 baseline_bytes, const Speeds& speeds) {
  constexpr double kStartS = 0.02;  // what every measure takes to begin
  const auto data = p.recipe.data.find("eval");
  const MeasureCost cost = find_measure(use.name).estimate({m.config,
                                                            m.disk_bytes,
                                                            baseline_bytes,
                                                            data == p.recipe.data.end() ? "" : data->second,
                                                            use.options,
                                                            p.recipe.decode,
                                                            speeds.flop_per_s,
                                                            speeds.bytes_per_s});
  return {kStartS + cost.s, cost.bytes, 0};
}

/// Median of measured / estimated seconds of earlier executions; 1 without any.
double correction(const RunsDb& db, const std::string& stage) {
  std::vector<double> ratios;
  for (const StageTime& t : db.stage_times(stage, isa_name()))
    if (t.s_estimated > 1e-6 && t.s_measured > 0) ratios.push_back(t.s_measured / t.s_estimated);
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
  i64 baseline_bytes = 0;
  const Speeds speeds;
  const i64 program_bytes = rss_bytes();  // nothing of any model is in memory yet
  for (const Chain& chain : p.chains) {
    ModelShape shape = p.shape;
    std::string hash = chain.steps.empty() ? p.source_hash : "";
    for (const StageStep& step : chain.steps) {
      if (step.stage->trains) shape = {};
      const Cost cost = step.stage->estimate(step.options, shape);
      if (cost.makes) shape.config = *cost.makes;
      const std::optional<Artefact> found = p.store.find(step.key);
      hash = found ? found->hash : "";
      rows.push_back({chain.name,
                      step.stage->name,
                      found.has_value(),
                      cost.s,
                      found ? 0 : cost.s * correction(db, step.stage->name),
                      program_bytes + cost.peak_bytes,
                      cost.disk_bytes});
      if (found)
        shape = model_shape(found->dir);
      else
        shape.disk_bytes = cost.disk_bytes;
    }
    const bool is_baseline = &chain == &p.chains.front();
    if (is_baseline) baseline_hash = hash, baseline_bytes = shape.disk_bytes;
    for (const MeasureUse& use : p.recipe.measures) {
      const std::string against = is_baseline ? "" : baseline_hash;
      const bool cached =
          !hash.empty() && p.store.find_result(Store::key_of(measure_inputs(p, use, hash, against)));
      const Cost cost = measure_cost(use, p, shape, is_baseline ? 0 : baseline_bytes, speeds);
      const std::string name = "measure:" + use.name;
      rows.push_back({chain.name,
                      name,
                      cached,
                      cost.s,
                      cached ? 0 : cost.s * correction(db, name),
                      program_bytes + cost.peak_bytes,
                      0});
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
