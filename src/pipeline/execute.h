// Running the stages and measures of a prepared recipe; every outcome goes to the store and to runs.db at
// once.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/judge.h"
#include "pipeline/prepare.h"
#include "track/runs.h"

namespace pare {

/// A variant's model and what its stages took.
struct Made {
  std::filesystem::path dir;
  std::string key, hash;  // key: "" for the source model itself
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
  std::vector<Series> series_;
  std::vector<std::string> notes_;
};

}  // namespace pare
