// recipe → plan → stages → measures → comparisons → report.
//
// Everything is kept in the store under the hash of its inputs as soon as it is done, so the same command
// goes on where a killed one stopped, and a second run only reads.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "eval/report.h"

namespace pare {

struct RunOptions {
  std::vector<std::string> set;   // "path=value", applied in order
  std::vector<std::string> only;  // names of variants; empty: all. The baseline is always among them.
  bool yes = false;               // go on although the machine's memory or disk seems too small
  bool fresh = false;             // measure anew what is not repeatable: speed, memory
  std::filesystem::path store;    // empty: the default one
};

struct PlanRow {
  std::string variant, stage;  // stage: "quantize.nf4", or "measure:speed"
  bool cached = false;
  double s_estimated = 0;  // as the stage tells
  double s = 0;            // that, corrected by what earlier runs took
  i64 peak_bytes = 0, disk_bytes = 0;
};

/// What a run would do and take. Throws a user error when the recipe is wrong; refuses nothing.
std::vector<PlanRow> plan_recipe(const std::filesystem::path& recipe, const RunOptions& options = {});
/// [{"variant", "stage", "cached", "s", "peak_bytes", "disk_bytes"}]
json plan_json(const std::vector<PlanRow>& plan);

/// Throws a user error when the plan goes beyond the recipe's limits or (without `yes`) what this machine
/// has; a job error when stopped by a signal. Whatever fails is recorded in runs.db. Report files lie in
/// report_folder(data.run).
ReportData run_recipe(const std::filesystem::path& recipe, const RunOptions& options = {});

/// Where a run's report.md, report.html and report.json are: runs/<id> beside runs.db.
std::filesystem::path report_folder(const std::string& run);

}  // namespace pare
