#include "track/runs.h"

#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/error.h"
#include "track/process.h"
#include "track/schema.h"
#include "track/sqlite.h"

namespace pare {
namespace fs = std::filesystem;

fs::path RunsDb::default_file() {
  if (const char* home = std::getenv("PARE_DATA_HOME"); home && *home) return fs::path(home) / "runs.db";
  if (const char* home = std::getenv("XDG_DATA_HOME"); home && *home)
    return fs::path(home) / "pare" / "runs.db";
  if (const char* home = std::getenv("HOME"); home && *home)
    return fs::path(home) / ".local" / "share" / "pare" / "runs.db";
  throw user_error("no folder for the records of runs: set PARE_DATA_HOME or HOME");
}

RunsDb::RunsDb(fs::path file) {
  if (file.empty()) file = default_file();
  std::error_code failed;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), failed);
  if (failed)
    throw user_error(
        "{}: cannot be made: {}; set PARE_DATA_HOME", file.parent_path().string(), failed.message());
  db_ = std::make_unique<Sqlite>(file);
  migrate();
  mark_killed();
}

RunsDb::~RunsDb() = default;

void RunsDb::migrate() {
  const auto version = [&] {
    Statement query(*db_, "pragma user_version");
    query.next();
    return query.integer(0);
  };
  const i64 newest = static_cast<i64>(migrations().size());
  if (version() > newest)
    throw user_error(
        "{}: found version {} of the tables, expected at most {}; use the newer pare that made it",
        db_->file().string(),
        version(),
        newest);
  if (version() == newest) return;
  Transaction transaction(*db_);  // another process may have been faster: the version is read again inside
  for (i64 i = version(); i < newest; ++i) db_->execute(migrations()[static_cast<std::size_t>(i)]);
  db_->execute(fmt::format("pragma user_version = {}", newest));
  transaction.commit();
}

void RunsDb::mark_killed() {
  std::vector<std::string> dead;
  Statement query(*db_, "select id, pid, pid_start from runs where status = 'running' and host = ?");
  query.bind(host_name());
  while (query.next())
    if (process_start(query.integer(1)) != query.integer(2)) dead.push_back(query.text(0));
  for (const auto& id : dead)
    Statement(*db_,
              "update runs set status = 'killed', error = 'its process is gone' where id = ? and status = "
              "'running'")
        .bind(id)
        .run();
}

// ---- writing ----

void RunsDb::begin_run(const std::string& id,
                       const std::string& recipe,
                       const std::string& model,
                       const json& options) {
  Transaction transaction(*db_);
  const i64 pid = ::getpid();
  Statement(*db_,
            "insert into runs (id, recipe, model, status, started_s, pid, pid_start, host, options) "
            "values (?, ?, ?, 'running', ?, ?, ?, ?, ?) on conflict (id) do update set "
            "recipe = excluded.recipe, model = excluded.model, status = excluded.status, "
            "started_s = excluded.started_s, finished_s = null, pid = excluded.pid, "
            "pid_start = excluded.pid_start, host = excluded.host, error = '', options = excluded.options")
      .bind(id, recipe, model, unix_time_s(), pid, process_start(pid), host_name(), options.dump())
      .run();
  for (const char* rows : {"delete from variants where run = ?",
                           "delete from metrics where run = ?",
                           "delete from comparisons where run = ?",
                           "delete from series where run = ?",
                           "delete from params where run = ?",
                           "delete from tags where run = ?"})
    Statement(*db_, rows).bind(id).run();
  transaction.commit();
}

void RunsDb::finish_run(const std::string& id) {
  Statement(*db_, "update runs set status = 'finished', finished_s = ?, error = '' where id = ?")
      .bind(unix_time_s(), id)
      .run();
}

void RunsDb::fail_run(const std::string& id, const std::string& error) {
  Statement(*db_, "update runs set status = 'failed', finished_s = ?, error = ? where id = ?")
      .bind(unix_time_s(), error, id)
      .run();
}

// "on conflict … update" and not "replace": a row that is written again keeps its place in the order.

void RunsDb::add_variant(const std::string& run, const VariantRecord& v) {
  Statement(
      *db_,
      "insert into variants (run, name, artefact, artefact_hash, bytes, broken, pareto) "
      "values (?, ?, ?, ?, ?, ?, ?) on conflict (run, name) do update set artefact = excluded.artefact, "
      "artefact_hash = excluded.artefact_hash, bytes = excluded.bytes, broken = excluded.broken, "
      "pareto = excluded.pareto")
      .bind(run, v.name, v.artefact, v.artefact_hash, v.bytes, v.broken, v.pareto)
      .run();
}

void RunsDb::add_stage(const std::string& run, const StageRecord& s) {
  Transaction transaction(*db_);
  Statement(*db_, "delete from stages where run = ? and variant = ? and position = ? and stage <> ?")
      .bind(run, s.variant, s.position, s.stage)
      .run();
  Statement(*db_,
            "insert into stages (run, variant, stage, position, isa, cached, s_estimated, s_predicted, "
            "s_measured, peak_bytes_predicted, peak_bytes_measured, disk_bytes_predicted, disk_bytes) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (run, variant, position) do update "
            "set isa = case when excluded.s_measured is null then isa else excluded.isa end, "
            "cached = excluded.cached, s_estimated = coalesce(excluded.s_estimated, s_estimated), "
            "s_predicted = coalesce(excluded.s_predicted, s_predicted), "
            "s_measured = coalesce(excluded.s_measured, s_measured), "
            "peak_bytes_predicted = coalesce(excluded.peak_bytes_predicted, peak_bytes_predicted), "
            "peak_bytes_measured = coalesce(excluded.peak_bytes_measured, peak_bytes_measured), "
            "disk_bytes_predicted = coalesce(excluded.disk_bytes_predicted, disk_bytes_predicted), "
            "disk_bytes = coalesce(excluded.disk_bytes, disk_bytes)")
      .bind(run,
            s.variant,
            s.stage,
            s.position,
            s.isa,
            s.cached,
            s.s_estimated,
            s.s_predicted,
            s.s_measured,
            s.peak_bytes_predicted,
            s.peak_bytes_measured,
            s.disk_bytes_predicted,
            s.disk_bytes)
      .run();
  transaction.commit();
}

void RunsDb::add_metric(const std::string& run, const MetricRecord& m) {
  Statement(
      *db_,
      "insert into metrics (run, variant, name, value, lo, hi, n, unit) values (?, ?, ?, ?, ?, ?, ?, ?) "
      "on conflict (run, variant, name) do update set value = excluded.value, lo = excluded.lo, "
      "hi = excluded.hi, n = excluded.n, unit = excluded.unit")
      .bind(run, m.variant, m.name, m.value, m.lo, m.hi, m.n, m.unit)
      .run();
}

void RunsDb::add_comparison(const std::string& run, const ComparisonRecord& c) {
  Statement(
      *db_,
      "insert into comparisons (run, variant, metric, difference, lo, hi, p) values (?, ?, ?, ?, ?, ?, ?) "
      "on conflict (run, variant, metric) do update set difference = excluded.difference, lo = excluded.lo, "
      "hi = excluded.hi, p = excluded.p")
      .bind(run, c.variant, c.metric, c.difference, c.lo, c.hi, c.p)
      .run();
}

void RunsDb::add_series(const std::string& run,
                        const std::string& variant,
                        const std::string& name,
                        const std::vector<SeriesPoint>& points) {
  Transaction transaction(*db_);
  Statement insert(
      *db_,
      "insert or replace into series (run, variant, name, step, value, time_s) values (?, ?, ?, ?, ?, ?)");
  for (const auto& point : points)
    insert.bind(run, variant, name, point.step, point.value, point.time_s).run();
  transaction.commit();
}

void RunsDb::set_param(const std::string& run, const std::string& name, const std::string& value) {
  Statement(*db_, "insert or replace into params (run, name, value) values (?, ?, ?)")
      .bind(run, name, value)
      .run();
}

void RunsDb::set_tag(const std::string& run, const std::string& name, const std::string& value) {
  Statement(*db_, "insert or replace into tags (run, name, value) values (?, ?, ?)")
      .bind(run, name, value)
      .run();
}

}  // namespace pare
