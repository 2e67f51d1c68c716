#include "pipeline/run.h"

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/isa.h"
#include "base/log.h"
#include "base/threads.h"
#include "measure/machine.h"
#include "pipeline/execute.h"
#include "pipeline/plan.h"
#include "store/abandoned.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

std::string machine_line() {
  return fmt::format("{}, {}, {} threads, {:.1f} GB",
                     cpu_name(),
                     isa_name(),
                     threads(),
                     static_cast<double>(memory().total_bytes) * 1e-9);
}

void record_variant(RunsDb& db, const std::string& run, const VariantRow& row, const Made& made) {
  db.add_variant(run, {row.name, made.key, made.hash, made.bytes, row.broken, row.pareto});
  for (const auto& [name, m] : row.measures)
    db.add_metric(run, {row.name, name, m.value, m.lo.value_or(NAN), m.hi.value_or(NAN), m.n, m.unit});
  for (const auto& [name, c] : row.against_baseline)
    db.add_comparison(
        run, {row.name, name, c.difference, c.lo.value_or(NAN), c.hi.value_or(NAN), c.p.value_or(NAN)});
}

void write_reports(const ReportData& data) {
  const fs::path folder = report_folder(data.run);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw job_error("{}: {}", folder.string(), failed.message());
  // What a process that was killed just here left half-written.
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(folder))
    if (is_abandoned(entry.path())) left.push_back(entry.path());
  for (const fs::path& path : left) fs::remove(path, failed);
  write_file_atomic(folder / "report.md", report_markdown(data));
  write_file_atomic(folder / "report.html", report_html(data));
  write_file_atomic(folder / "report.json", report_json(data).dump(2) + "\n");
}

ReportData execute(Prepared& p, const std::vector<PlanRow>& plan, RunsDb& db, bool fresh) {
  Executor executor(p, plan, db, fresh);
  std::vector<Made> made;
  std::vector<Measured> measured;
  ReportData data;
  made.reserve(p.chains.size());
  for (const Chain& chain : p.chains) {
    made.push_back(executor.make(chain));
    measured.push_back(executor.measure(chain, made.back(), made.size() == 1 ? nullptr : &made.front()));
    const Made& m = made.back();
    data.variants.push_back({chain.name, m.dir.string(), m.hash, m.bytes, false, false, {}, {}});
  }
  data.run = p.run_id;
  data.recipe = p.recipe.name;
  data.model = p.recipe.model;
  data.machine = machine_line();
  data.compute = p.recipe.compute + " on " + isa_name();
  data.program_version = PARE_VERSION;
  data.costs = executor.costs();
  data.series = executor.series();
  data.notes = executor.notes();
  judge(measured, p.recipe.objectives, data.variants, data.notes);
  for (std::size_t i = 0; i < made.size(); ++i) record_variant(db, p.run_id, data.variants[i], made[i]);
  return data;
}

}  // namespace

fs::path report_folder(const std::string& run) { return RunsDb::default_file().parent_path() / "runs" / run; }

ReportData run_recipe(const fs::path& recipe, const RunOptions& options) {
  Prepared p = prepare(recipe, options);
  const std::vector<PlanRow> plan = plan_of(p);
  refuse_what_does_not_fit(p, plan, options.yes);
  RunsDb db;
  db.begin_run(p.run_id, p.recipe.name, p.recipe.model, p.recipe.canonical());
  try {
    ReportData data = execute(p, plan, db, options.fresh);
    write_reports(data);
    db.finish_run(p.run_id);
    return data;
  } catch (const std::exception& e) {
    // The record outlives the failure; what is done stays in the store, and the same command goes on from
    // there.
    db.fail_run(p.run_id, e.what());
    throw;
  }
}

}  // namespace pare
