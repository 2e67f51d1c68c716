// The reading half of RunsDb.
#include "track/runs.h"
#include "track/sqlite.h"

namespace pare {

namespace {

constexpr const char* kRunById =
    "select id, recipe, model, status, started_s, finished_s, pid, host, error, options from runs where id = "
    "?";
constexpr const char* kRunsByTime =
    "select id, recipe, model, status, started_s, finished_s, pid, host, error, options from runs "
    "order by started_s desc, rowid desc limit ?";

RunRecord run_of(const Statement& row) {
  RunRecord run;
  run.id = row.text(0), run.recipe = row.text(1), run.model = row.text(2), run.status = row.text(3);
  run.started_s = row.real(4), run.finished_s = row.real_or_none(5);
  run.pid = row.integer(6), run.host = row.text(7), run.error = row.text(8);
  run.options = parse_json(row.text(9), "options of run " + run.id);
  return run;
}

std::vector<NamedText> named_texts(Statement& query) {
  std::vector<NamedText> all;
  while (query.next()) all.emplace_back(query.text(0), query.text(1));
  return all;
}

}  // namespace

std::optional<RunRecord> RunsDb::run(const std::string& id) const {
  Statement query(*db_, kRunById);
  query.bind(id);
  if (!query.next()) return std::nullopt;
  return run_of(query);
}

std::vector<RunRecord> RunsDb::runs(i64 limit) const {
  Statement query(*db_, kRunsByTime);
  query.bind(limit);
  std::vector<RunRecord> all;
  while (query.next()) all.push_back(run_of(query));
  return all;
}

std::vector<VariantRecord> RunsDb::variants(const std::string& run) const {
  Statement query(*db_,
                  "select name, artefact, artefact_hash, bytes, broken, pareto from variants where run = ? "
                  "order by rowid");
  query.bind(run);
  std::vector<VariantRecord> all;
  while (query.next())
    all.push_back({query.text(0),
                   query.text(1),
                   query.text(2),
                   query.integer(3),
                   query.integer(4) != 0,
                   query.integer(5) != 0});
  return all;
}

std::vector<StageRecord> RunsDb::stages(const std::string& run) const {
  Statement query(
      *db_,
      "select variant, stage, position, isa, cached, s_estimated, s_predicted, s_measured, "
      "peak_bytes_predicted, peak_bytes_measured, disk_bytes_predicted, disk_bytes from stages where run = ? "
      "order by variant, position");
  query.bind(run);
  std::vector<StageRecord> all;
  while (query.next())
    all.push_back({query.text(0),
                   query.text(1),
                   query.integer(2),
                   query.text(3),
                   query.integer(4) != 0,
                   query.real_or_none(5),
                   query.real_or_none(6),
                   query.real_or_none(7),
                   query.integer_or_none(8),
                   query.integer_or_none(9),
                   query.integer_or_none(10),
                   query.integer_or_none(11)});
  return all;
}

std::vector<MetricRecord> RunsDb::metrics(const std::string& run) const {
  Statement query(*db_,
                  "select variant, name, value, lo, hi, n, unit from metrics where run = ? order by rowid");
  query.bind(run);
  std::vector<MetricRecord> all;
  while (query.next())
    all.push_back({query.text(0),
                   query.text(1),
                   query.real(2),
                   query.real(3),
                   query.real(4),
                   query.integer(5),
                   query.text(6)});
  return all;
}

std::vector<ComparisonRecord> RunsDb::comparisons(const std::string& run) const {
  Statement query(
      *db_, "select variant, metric, difference, lo, hi, p from comparisons where run = ? order by rowid");
  query.bind(run);
  std::vector<ComparisonRecord> all;
  while (query.next())
    all.push_back({query.text(0), query.text(1), query.real(2), query.real(3), query.real(4), query.real(5)});
  return all;
}

std::vector<SeriesPoint> RunsDb::series(const std::string& run,
                                        const std::string& variant,
                                        const std::string& name) const {
  Statement query(
      *db_,
      "select step, value, time_s from series where run = ? and variant = ? and name = ? order by step");
  query.bind(run, variant, name);
  std::vector<SeriesPoint> all;
  while (query.next()) all.push_back({query.integer(0), query.real(1), query.real(2)});
  return all;
}

std::vector<std::string> RunsDb::series_names(const std::string& run, const std::string& variant) const {
  Statement query(*db_, "select distinct name from series where run = ? and variant = ? order by name");
  query.bind(run, variant);
  std::vector<std::string> all;
  while (query.next()) all.push_back(query.text(0));
  return all;
}

std::vector<NamedText> RunsDb::params(const std::string& run) const {
  Statement query(*db_, "select name, value from params where run = ? order by name");
  return named_texts(query.bind(run));
}

std::vector<NamedText> RunsDb::tags(const std::string& run) const {
  Statement query(*db_, "select name, value from tags where run = ? order by name");
  return named_texts(query.bind(run));
}

std::vector<StageTime> RunsDb::stage_times(const std::string& stage,
                                           const std::string& isa,
                                           i64 limit) const {
  Statement query(*db_,
                  "select s_estimated, s_measured from stages join runs on runs.id = stages.run "
                  "where stage = ? and isa = ? and s_estimated is not null and s_measured is not null "
                  "order by runs.started_s desc, stages.rowid desc limit ?");
  query.bind(stage, isa, limit);
  std::vector<StageTime> all;
  while (query.next()) all.push_back({query.real(0), query.real(1)});
  return all;
}

}  // namespace pare
