#include "pipeline/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/bootstrap.h"
#include "eval/proportions.h"

namespace pare {

namespace {

const MetricValue* metric(const Measured& m, const std::string& name) {
  for (const MetricValue& v : m.metrics)
    if (v.name == name) return &v;
  return nullptr;
}

bool all_finite(const std::vector<double>& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

ObjectiveValue objective_value(const MetricValue* v) {
  if (!v) return {NAN, {}};
  if (v->lo && v->hi && std::isfinite(*v->lo) && std::isfinite(*v->hi))
    return {v->value, Interval{*v->lo, *v->hi}};
  return {v->value, {}};
}

/// Intervals of all differences between two variants on the same samples.
std::vector<PairedComparison> all_pairs(const std::vector<Measured>& all,
                                        const std::vector<Objective>& objectives) {
  std::vector<PairedComparison> out;
  for (std::size_t o = 0; o < objectives.size(); ++o)
    for (std::size_t a = 0; a < all.size(); ++a)
      for (std::size_t b = a + 1; b < all.size(); ++b) {
        const MetricValue* of_a = metric(all[a], objectives[o].name);
        const MetricValue* of_b = metric(all[b], objectives[o].name);
        if (!of_a || !of_b) continue;
        if (const auto cell = paired_difference(*of_b, *of_a))
          out.push_back({a, b, o, {*cell->lo, *cell->hi}});
      }
  return out;
}

std::vector<Objective> measured_objectives(const std::vector<Measured>& all,
                                           const std::vector<Objective>& wanted,
                                           std::vector<std::string>& notes) {
  std::vector<Objective> out;
  for (const Objective& o : wanted) {
    const std::string name = metric_of_objective(o.name, all);
    if (name.empty())
      notes.push_back(fmt::format("nothing measured the objective {}; the front leaves it out", o.name));
    else
      out.push_back({name, o.maximise});
  }
  return out;
}

}  // namespace

std::optional<PairedCell> paired_difference(const MetricValue& baseline, const MetricValue& variant) {
  const auto &b = baseline.samples, &v = variant.samples;
  if (b.empty() || b.size() != v.size() || !all_finite(b) || !all_finite(v)) return {};
  const Bootstrap boot = paired_bootstrap(b, v);
  PairedCell cell{boot.mean, boot.bca.lo, boot.bca.hi, boot.p};
  if (baseline.binary) {
    i64 only_baseline = 0, only_variant = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      only_baseline += b[i] > v[i];
      only_variant += v[i] > b[i];
    }
    cell.p = mcnemar(only_baseline, only_variant).exact_p;
  }
  return cell;
}

std::string metric_of_objective(const std::string& objective, const std::vector<Measured>& all) {
  if (all.empty()) return "";
  const std::vector<MetricValue>& metrics = all.front().metrics;
  for (const MetricValue& m : metrics)
    if (m.name == objective) return m.name;
  const std::string end = objective == "accuracy" ? ".strict" : "." + objective;
  for (const MetricValue& m : metrics)
    if (m.name.ends_with(end)) return m.name;
  return "";
}

void judge(const std::vector<Measured>& all,
           const std::vector<Objective>& objectives,
           std::vector<VariantRow>& rows,
           std::vector<std::string>& notes) {
  if (rows.size() != all.size()) throw bug("judge: {} rows, {} variants", rows.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    rows[i].broken = all[i].broken;
    for (const MetricValue& m : all[i].metrics) {
      rows[i].measures.emplace_back(m.name, MetricCell{m.value, m.lo, m.hi, m.n, m.unit});
      const MetricValue* base = i == 0 ? nullptr : metric(all[0], m.name);
      if (base)
        if (const auto cell = paired_difference(*base, m))
          rows[i].against_baseline.emplace_back(m.name, *cell);
    }
  }
  const std::vector<Objective> known = measured_objectives(all, objectives, notes);
  if (known.empty()) return;
  std::vector<ParetoPoint> points;
  for (const Measured& m : all) {
    ParetoPoint point{{}, !m.broken};
    for (const Objective& o : known) point.values.push_back(objective_value(metric(m, o.name)));
    points.push_back(std::move(point));
  }
  const std::vector<bool> front = supported_front(known, points, all_pairs(all, known));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].pareto = front[i];
}

}  // namespace pare
