#include "pipeline/execute.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/isa.h"
#include "base/log.h"
#include "base/signals.h"
#include "measure/machine.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

/// Seconds and peak memory from here on.
class Meter {
 public:
  Meter() : peak_known_(reset_peak_rss()) {}
  double s() const { return watch_.elapsed_s(); }
  /// 0 when the kernel does not tell.
  i64 peak_bytes() const { return peak_known_ ? peak_rss_bytes() : 0; }

 private:
  Stopwatch watch_;
  bool peak_known_;
};

json curves_json(const std::vector<CurvePoint>& points) {
  json out = json::array();
  for (const CurvePoint& p : points) out.push_back({p.name, p.step, p.value});
  return out;
}

}  // namespace

Executor::Executor(Prepared& prepared, const std::vector<PlanRow>& plan, RunsDb& db, bool fresh)
    : p_(prepared), plan_(plan), db_(db), fresh_(fresh), steps_(static_cast<i64>(plan.size())) {
  for (const PlanRow& row : plan_) planned_in_all_s_ += row.s;
}

void Executor::begin_row(const std::string& variant, const std::string& part) {
  constexpr double kEnoughS = 1;  // to tell how the plan holds
  const double pace = planned_s_ > kEnoughS ? std::clamp(watch_.elapsed_s() / planned_s_, 0.1, 10.0) : 1;
  steps_.next(variant, part, (planned_in_all_s_ - planned_s_) * pace);
  if (row_ < plan_.size()) planned_s_ += plan_[row_++].s;
}

void Executor::record(const std::string& variant,
                      const std::string& stage,
                      i64 position,
                      bool cached,
                      double s,
                      i64 peak_bytes,
                      i64 disk_bytes) {
  // The rows of a variant stand in the plan in the order they run.
  i64 seen = 0;
  const PlanRow* planned = nullptr;
  for (const PlanRow& row : plan_)
    if (row.variant == variant && seen++ == position) planned = &row;
  StageRecord r;
  r.variant = variant;
  r.stage = stage;
  r.position = position;
  r.isa = isa_name();
  r.cached = cached;
  r.disk_bytes = disk_bytes;
  if (!cached) {  // else the row keeps what an earlier execution took
    r.s_measured = s;
    if (peak_bytes > 0) r.peak_bytes_measured = peak_bytes;
    if (planned) {
      r.s_estimated = planned->s_estimated;
      r.s_predicted = planned->s;
      r.peak_bytes_predicted = planned->peak_bytes;
      r.disk_bytes_predicted = planned->disk_bytes;
    }
  }
  db_.add_stage(p_.run_id, r);
}

std::vector<StageCost> Executor::costs() const {
  std::vector<StageCost> out;
  const std::vector<StageRecord> rows = db_.stages(p_.run_id);
  for (const Chain& chain : p_.chains) {
    const std::size_t n = chain.steps.size() + p_.recipe.measures.size();
    for (const StageRecord& r : rows)
      if (r.variant == chain.name && r.position < static_cast<i64>(n))
        out.push_back({r.variant,
                       r.stage,
                       r.cached,
                       r.s_predicted.value_or(0),
                       r.s_measured.value_or(0),
                       r.peak_bytes_predicted.value_or(0),
                       r.peak_bytes_measured.value_or(0)});
  }
  return out;
}

void Executor::keep_curves(const std::string& key, const std::vector<CurvePoint>& points) {
  if (points.empty()) return;
  const json inputs = {{"curves", key}};
  p_.store.obtain_result(Store::key_of(inputs), inputs, [&](const fs::path&) { return curves_json(points); });
}

void Executor::show_curves(const std::string& variant, const std::string& key) {
  // A cached stage shows the curves of the run that made it: they are kept beside the artefact, which holds
  // none.
  const json kept = p_.store.find_result(Store::key_of({{"curves", key}})).value_or(json::array());
  std::map<std::string, std::vector<SeriesPoint>> by_name;
  for (const json& point : kept)
    by_name[point.at(0).get<std::string>()].push_back({point.at(1).get<i64>(), point.at(2).get<double>(), 0});
  for (auto& [name, list] : by_name) {
    Series series{variant, name, {}};
    for (SeriesPoint& point : list) {
      point.time_s = unix_time_s();
      series.points.emplace_back(static_cast<double>(point.step), point.value);
    }
    db_.add_series(p_.run_id, variant, name, list);
    series_.push_back(std::move(series));
  }
}

Made Executor::make(const Chain& chain) {
  Made made{p_.source, "", p_.source_hash, p_.shape.disk_bytes};
  std::vector<fs::path> ancestors;
  for (std::size_t i = 0; i < chain.steps.size(); ++i) {
    const StageStep& step = chain.steps[i];
    check_stop();
    begin_row(chain.name, step.stage->name);
    bool built = false;
    const Meter meter;
    const Artefact artefact =
        p_.store.obtain(step.key, step.inputs, [&](const fs::path& work, const fs::path& out) {
          built = true;
          if (!steps_.shown()) log_info("{}: {}", chain.name, step.stage->name);
          JobInput input{step.stage->name,
                         step.stage->trains ? fs::path() : made.dir,
                         work,
                         out,
                         p_.recipe.seed,
                         {},
                         ancestors,
                         {{"source", made.hash}, {"data", step.inputs.at("data")}},
                         [&](const json& inputs, const BuildFolder& build) {
                           return p_.store.obtain(Store::key_of(inputs), inputs, build).dir;
                         }};
          for (const std::string& key : step.stage->reads)
            if (const auto data = p_.recipe.data.find(key); data != p_.recipe.data.end())
              input.data[key] = data->second;
          Job job(std::move(input));
          step.stage->run(step.options, job);
          job.finish();
          // Before the artefact appears: after a kill in between nobody would ask for them again.
          keep_curves(step.key, job.series());
        });
    const double s = meter.s();
    const i64 peak = meter.peak_bytes();
    if (!made.dir.empty()) ancestors.push_back(made.dir);
    made = {artefact.dir, artefact.key, artefact.hash, model_shape(artefact.dir).disk_bytes};
    record(chain.name, step.stage->name, static_cast<i64>(i), !built, s, peak, made.bytes);
    show_curves(chain.name, step.key);
  }
  return made;
}

MeasureResult Executor::measure_one(
    const MeasureUse& use, const Chain& chain, const Made& made, const Made* baseline, i64 position) {
  const MeasureInfo& info = find_measure(use.name);
  json inputs = measure_inputs(p_, use, made.hash, baseline ? baseline->hash : "");
  // Measured anew, and kept as a result of its own.
  if (fresh_ && !info.cacheable) inputs["measured_s"] = unix_time_s();
  begin_row(chain.name, use.name);
  bool built = false;
  const Meter meter;
  const json result = p_.store.obtain_result(Store::key_of(inputs), inputs, [&](const fs::path& work) {
    built = true;
    if (!steps_.shown()) log_info("{}: {}", chain.name, use.name);
    const auto data = p_.recipe.data.find("eval");
    const std::string shots = p_.recipe.data.contains("shots") ? p_.recipe.data.at("shots") : "";
    return measure_result_json(info.run({made.dir,
                                         baseline && info.needs_baseline ? baseline->dir : fs::path(),
                                         data == p_.recipe.data.end() ? "" : data->second,
                                         use.options,
                                         p_.recipe.decode,
                                         p_.recipe.compute,
                                         work,
                                         shots}));
  });
  const double s = meter.s();
  record(chain.name, "measure:" + use.name, position, !built, s, meter.peak_bytes(), 0);
  return measure_result_of(result);
}

Measured Executor::measure(const Chain& chain, const Made& made, const Made* baseline) {
  Measured out{chain.name, {}, false};
  i64 position = static_cast<i64>(chain.steps.size());
  for (const MeasureUse& use : p_.recipe.measures) {
    check_stop();
    MeasureResult r = measure_one(use, chain, made, baseline, position++);
    out.broken = out.broken || r.broken;
    // Conventions are the same for every variant and said once; what is wrong with one is said with its name.
    if (!r.note.empty()) {
      const std::string note = r.broken ? chain.name + ": " + r.note : use.name + ": " + r.note;
      if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
    }
    for (MetricValue& m : r.metrics) out.metrics.push_back(std::move(m));
  }
  return out;
}

}  // namespace pare
