// Running the stages and measures of a prepared recipe; every outcome goes to the store and to runs.db at
// once.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/progress.h"
#include "pipeline/judge.h"
#include "pipeline/prepare.h"
#include "track/runs.h"

namespace pare {

/// A variant's model and what its stages took.
struct Made {
  std::filesystem::path dir;  // or the .gguf file that a recipe starts from
  std::string key, hash;      // key: "" for the source model itself
  i64 bytes = 0;
};

class Executor {
 public:
  /// All references must outlive it. `plan`: plan_of(prepared).
  Executor(Prepared& prepared, const std::vector<PlanRow>& plan, RunsDb& db, bool fresh);

  /// Runs the stages of a chain that are not in the store yet. Stops with a job error between two weights
  /// when a signal came.
  Made make(const Chain& chain);
  /// All measures of the recipe on `made`, re-loaded from disk. `baseline`: null for the baseline itself.
  Measured measure(const Chain& chain, const Made& made, const Made* baseline);

  /// In the order of the plan; a stage that was cached has the figures of its earlier execution in this run,
  /// else zeros.
  std::vector<StageCost> costs() const;
  const std::vector<Series>& series() const { return series_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  /// Shows that the next row of the plan begins, with the time left as far as the plan has held.
  void begin_row(const std::string& variant, const std::string& part);
  void record(const std::string& variant,
              const std::string& stage,
              i64 position,
              bool cached,
              double s,
              i64 peak_bytes,
              i64 disk_bytes);
  void keep_curves(const std::string& key, const std::vector<CurvePoint>& points);
  void show_curves(const std::string& variant, const std::string& key);
  MeasureResult measure_one(
      const MeasureUse& use, const Chain& chain, const Made& made, const Made* baseline, i64 position);

  Prepared& p_;
  const std::vector<PlanRow>& plan_;
  RunsDb& db_;
  bool fresh_;
  ProgressSteps steps_;
  Stopwatch watch_;
  std::size_t row_ = 0;          // of the plan
  double planned_s_ = 0;         // of the rows before it
  double planned_in_all_s_ = 0;  // of all rows
  std::vector<Series> series_;
  std::vector<std::string> notes_;
};

}  // namespace pare
