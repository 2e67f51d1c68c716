// pare runs, pare show, pare compare: what the runs database holds.
#include "track/runs.h"

#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"

namespace pare::cli {
namespace {

json run_json(const RunRecord& r) {
  return {{"id", r.id},
          {"recipe", r.recipe},
          {"model", r.model},
          {"status", r.status},
          {"started", utc_text(r.started_s)},
          {"seconds", r.finished_s ? json(*r.finished_s - r.started_s) : json()},
          {"error", r.error.empty() ? json() : json(r.error)}};
}

json number(double x) { return std::isfinite(x) ? json(x) : json(); }

/// The run of an id or of the beginning of one.
RunRecord find_run(const RunsDb& db, const std::string& id) {
  if (const auto run = db.run(id)) return *run;
  std::vector<RunRecord> found;
  std::vector<std::string> names;
  for (const RunRecord& r : db.runs(1000)) {
    if (r.id.starts_with(id)) found.push_back(r);
    names.push_back(r.id);
  }
  if (found.size() == 1) return found[0];
  if (found.size() > 1)
    throw user_error("run \"{}\" could be {} or {}; give more of it", id, found[0].id, found[1].id);
  throw user_error("there is no run \"{}\"; `pare runs` lists them", id);
}

json show_json(const RunsDb& db, const RunRecord& r) {
  json out = run_json(r);
  out["variants"] = json::array();
  for (const VariantRecord& v : db.variants(r.id)) {
    json metrics = json::object(), against = json::object();
    for (const MetricRecord& m : db.metrics(r.id))
      if (m.variant == v.name)
        metrics[m.name] = {{"value", number(m.value)},
                           {"lo", number(m.lo)},
                           {"hi", number(m.hi)},
                           {"n", m.n},
                           {"unit", m.unit}};
    for (const ComparisonRecord& c : db.comparisons(r.id))
      if (c.variant == v.name)
        against[c.metric] = {{"difference", number(c.difference)},
                             {"lo", number(c.lo)},
                             {"hi", number(c.hi)},
                             {"p", number(c.p)}};
    out["variants"].push_back({{"name", v.name},
                               {"artefact", v.artefact},
                               {"artefact_hash", v.artefact_hash},
                               {"bytes", v.bytes},
                               {"broken", v.broken},
                               {"pareto", v.pareto},
                               {"measures", metrics},
                               {"against_baseline", against}});
  }
  out["stages"] = json::array();
  for (const StageRecord& s : db.stages(r.id))
    out["stages"].push_back(
        {{"variant", s.variant},
         {"stage", s.stage},
         {"cached", s.cached},
         {"s_predicted", s.s_predicted ? json(*s.s_predicted) : json()},
         {"s_measured", s.s_measured ? json(*s.s_measured) : json()},
         {"peak_bytes_predicted", s.peak_bytes_predicted ? json(*s.peak_bytes_predicted) : json()},
         {"peak_bytes_measured", s.peak_bytes_measured ? json(*s.peak_bytes_measured) : json()}});
  return out;
}

std::string table(const json& run) {
  std::string text = fmt::format("run {} · {} · {} · {} · {}\n",
                                 run["id"].get<std::string>(),
                                 run["recipe"].get<std::string>(),
                                 run["model"].get<std::string>(),
                                 run["status"].get<std::string>(),
                                 run["started"].get<std::string>());
  for (const json& v : run["variants"]) {
    text += fmt::format("\n{}{}{}  {} bytes\n",
                        v["name"].get<std::string>(),
                        v["pareto"].get<bool>() ? " ★" : "",
                        v["broken"].get<bool>() ? " (broken)" : "",
                        v["bytes"].get<i64>());
    for (const auto& [name, m] : v["measures"].items()) {
      text += fmt::format("  {:<26} {:>14} {:<6}",
                          name,
                          m["value"].is_number() ? fmt::format("{:.6g}", m["value"].get<double>()) : "–",
                          m["unit"].get<std::string>());
      if (m["lo"].is_number())
        text += fmt::format(" [{:.5g}, {:.5g}]", m["lo"].get<double>(), m["hi"].get<double>());
      if (v["against_baseline"].contains(name)) {
        const json& c = v["against_baseline"][name];
        if (c["difference"].is_number()) text += fmt::format("  Δ {:+.4g}", c["difference"].get<double>());
        if (c["p"].is_number()) text += fmt::format(" p {:.3g}", c["p"].get<double>());
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace

int runs(int argc, char** argv) {
  Parser parser("runs", "List recorded runs, the latest first.");
  i64 limit = 20;
  parser.app().add_option("--limit", limit, "at most so many")->check(more_than(0));
  if (!parser.parse(argc, argv)) return 0;
  const RunsDb db;
  json all = json::array();
  std::string text = fmt::format("{:<14} {:<16} {:<14} {:<10} {:<22} {:>9}\n",
                                 "run",
                                 "recipe",
                                 "model",
                                 "status",
                                 "started (UTC)",
                                 "seconds");
  for (const RunRecord& r : db.runs(limit)) {
    all.push_back(run_json(r));
    text += fmt::format("{:<14} {:<16} {:<14} {:<10} {:<22} {:>9}\n",
                        r.id,
                        r.recipe,
                        r.model,
                        r.status,
                        utc_text(r.started_s),
                        r.finished_s ? fmt::format("{:.1f}", *r.finished_s - r.started_s) : "–");
  }
  if (parser.common().json)
    print_json(all);
  else
    print_text(text);
  return 0;
}

int show(int argc, char** argv) {
  Parser parser("show", "Show one recorded run: variants, measures with intervals, paired tests, costs.");
  std::string id;
  parser.app().add_option("run", id, "the run's id or the beginning of it")->required();
  if (!parser.parse(argc, argv)) return 0;
  const RunsDb db;
  const json out = show_json(db, find_run(db, id));
  if (parser.common().json)
    print_json(out);
  else
    print_text(table(out));
  return 0;
}

int compare(int argc, char** argv) {
  Parser parser("compare", "Each variant of one or more runs against the run's baseline, by paired tests.");
  std::vector<std::string> ids;
  parser.app().add_option("run", ids, "ids of runs, or the beginnings of them")->required();
  if (!parser.parse(argc, argv)) return 0;
  const RunsDb db;
  json out = json::array();
  std::string text;
  for (const std::string& id : ids) {
    const RunRecord r = find_run(db, id);
    text += fmt::format("run {} · {}\n  {:<14} {:<26} {:>12} {:>24} {:>10}\n",
                        r.id,
                        r.recipe,
                        "variant",
                        "measure",
                        "difference",
                        "95% interval",
                        "p");
    for (const ComparisonRecord& c : db.comparisons(r.id)) {
      out.push_back({{"run", r.id},
                     {"variant", c.variant},
                     {"measure", c.metric},
                     {"difference", number(c.difference)},
                     {"lo", number(c.lo)},
                     {"hi", number(c.hi)},
                     {"p", number(c.p)}});
      text += fmt::format("  {:<14} {:<26} {:>12.4g} {:>24} {:>10}\n",
                          c.variant,
                          c.metric,
                          c.difference,
                          std::isfinite(c.lo) ? fmt::format("[{:.4g}, {:.4g}]", c.lo, c.hi) : "–",
                          std::isfinite(c.p) ? fmt::format("{:.3g}", c.p) : "–");
    }
  }
  if (parser.common().json)
    print_json({{"comparisons", out}});
  else
    print_text(text);
  return 0;
}

}  // namespace pare::cli
