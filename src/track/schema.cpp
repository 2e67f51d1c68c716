#include "track/schema.h"

namespace pare {

const std::vector<std::string>& migrations() {
  static const std::vector<std::string> all = {
      R"(
create table runs (
  id text primary key, recipe text not null, model text not null, status text not null,
  started_s real not null, finished_s real, pid integer not null, pid_start integer not null, host text not null,
  error text not null default '', options text not null default '{}');
create index runs_started on runs (started_s);

create table variants (
  run text not null references runs (id) on delete cascade, name text not null, artefact text not null,
  artefact_hash text not null, bytes integer not null, broken integer not null, pareto integer not null,
  primary key (run, name));

create table stages (
  run text not null references runs (id) on delete cascade, variant text not null, stage text not null,
  position integer not null, isa text not null, cached integer not null,
  s_predicted real, s_measured real, peak_bytes_predicted integer, peak_bytes_measured integer,
  disk_bytes_predicted integer, disk_bytes integer,
  primary key (run, variant, position));
create index stages_by_stage on stages (stage, isa);

create table metrics (
  run text not null references runs (id) on delete cascade, variant text not null, name text not null,
  value real, lo real, hi real, n integer not null, unit text not null,
  primary key (run, variant, name));

create table comparisons (
  run text not null references runs (id) on delete cascade, variant text not null, metric text not null,
  difference real, lo real, hi real, p real,
  primary key (run, variant, metric));

create table series (
  run text not null references runs (id) on delete cascade, variant text not null, name text not null,
  step integer not null, value real, time_s real not null,
  primary key (run, variant, name, step)) without rowid;

create table params (
  run text not null references runs (id) on delete cascade, name text not null, value text not null,
  primary key (run, name));

create table tags (
  run text not null references runs (id) on delete cascade, name text not null, value text not null,
  primary key (run, name));
)",
      "alter table stages add column s_estimated real;",
  };
  return all;
}

}  // namespace pare
