// What was run, with what outcome: the records of every run, kept apart from the store so that they outlive
// it.
//
// One SQLite file (docs/formats/runs_db.md). Any number of processes may use it at once; a reader never waits
// for a writer. Every query is one function here; there is no SQL elsewhere.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

class Sqlite;

/// A value that is not known is NaN in a double and nothing in an optional.
struct RunRecord {
  std::string id, recipe, model;
  std::string status = "running";  // running | finished | failed | killed
  double started_s = 0;            // since 1970
  std::optional<double> finished_s;
  i64 pid = 0;
  std::string host, error;
  json options = json::object();
};

struct VariantRecord {
  std::string name, artefact, artefact_hash;  // artefact: its key
  i64 bytes = 0;
  bool broken = false, pareto = false;
};

struct StageRecord {
  std::string variant, stage;
  i64 position = 0;  // in the variant, from 0
  std::string isa;
  bool cached = false;
  std::optional<double> s_estimated;  // as the stage tells; s_predicted: corrected by earlier measurements
  std::optional<double> s_predicted, s_measured;
  std::optional<i64> peak_bytes_predicted, peak_bytes_measured, disk_bytes_predicted, disk_bytes;
};

struct MetricRecord {
  std::string variant, name;
  double value = 0, lo = 0, hi = 0;
  i64 n = 0;
  std::string unit;
};

/// A variant against the baseline.
struct ComparisonRecord {
  std::string variant, metric;
  double difference = 0, lo = 0, hi = 0, p = 0;
};

struct SeriesPoint {
  i64 step = 0;
  double value = 0;
  double time_s = 0;  // since 1970
};

struct StageTime {
  double s_estimated = 0, s_measured = 0;
};

using NamedText = std::pair<std::string, std::string>;

/// One connection. Not thread-safe; one per thread. Failed writes throw a job error and change nothing.
class RunsDb {
 public:
  /// `file` empty: runs.db in $PARE_DATA_HOME, else $XDG_DATA_HOME/pare, else ~/.local/share/pare. Makes
  /// folder, file and tables, and marks as killed what runs in no living process of this machine. Throws a
  /// user error when the file cannot be opened or comes from a newer program.
  explicit RunsDb(std::filesystem::path file = {});
  ~RunsDb();
  static std::filesystem::path default_file();

  /// Records a run of this process, started now. All rows of an earlier run of this id go, in the same
  /// transaction, but what its stages took: most of them will be found, not made.
  void begin_run(const std::string& id,
                 const std::string& recipe,
                 const std::string& model,
                 const json& options);
  void finish_run(const std::string& id);
  void fail_run(const std::string& id, const std::string& error);

  /// A row of the same run and name is replaced; the run must have begun. What a stage does not know (it was
  /// cached) it keeps from the row before, when that is of the same stage.
  void add_variant(const std::string& run, const VariantRecord& variant);
  void add_stage(const std::string& run, const StageRecord& stage);
  void add_metric(const std::string& run, const MetricRecord& metric);
  void add_comparison(const std::string& run, const ComparisonRecord& comparison);
  /// All points in one transaction; a step that is there already is replaced.
  void add_series(const std::string& run,
                  const std::string& variant,
                  const std::string& name,
                  const std::vector<SeriesPoint>& points);
  void set_param(const std::string& run, const std::string& name, const std::string& value);
  void set_tag(const std::string& run, const std::string& name, const std::string& value);

  std::optional<RunRecord> run(const std::string& id) const;
  /// The latest first.
  std::vector<RunRecord> runs(i64 limit = 100) const;
  /// In the order they were first added, as are metrics and comparisons.
  std::vector<VariantRecord> variants(const std::string& run) const;
  /// By variant, in the order of the variant's stages.
  std::vector<StageRecord> stages(const std::string& run) const;
  std::vector<MetricRecord> metrics(const std::string& run) const;
  std::vector<ComparisonRecord> comparisons(const std::string& run) const;
  /// By step.
  std::vector<SeriesPoint> series(const std::string& run,
                                  const std::string& variant,
                                  const std::string& name) const;
  /// The names of a variant's series, sorted.
  std::vector<std::string> series_names(const std::string& run, const std::string& variant) const;
  std::vector<NamedText> params(const std::string& run) const;
  std::vector<NamedText> tags(const std::string& run) const;
  /// Estimated and measured seconds of the latest `limit` executions of a stage on one ISA tier; the latest
  /// run first.
  std::vector<StageTime> stage_times(const std::string& stage, const std::string& isa, i64 limit = 50) const;

 private:
  void migrate();
  void mark_killed();

  std::unique_ptr<Sqlite> db_;
};

}  // namespace pare
