#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "measure/measure.h"

namespace pare {

namespace {

std::vector<MeasureInfo>& all_measures() {
  static std::vector<MeasureInfo> list;
  return list;
}

/// JSON has no inf and no NaN; a broken variant's perplexity is both.
json number_json(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

double number_of(const json& j) {
  if (j.is_number()) return j.get<double>();
  const std::string text = j.is_string() ? j.get<std::string>() : "";
  if (text == "inf") return INFINITY;
  if (text == "-inf") return -INFINITY;
  if (text == "nan") return NAN;
  throw job_error("a kept result of a measure holds {} where a number belongs; run with --fresh", j.dump());
}

}  // namespace

json measure_result_json(const MeasureResult& r) {
  json metrics = json::array();
  for (const MetricValue& m : r.metrics) {
    json samples = json::array();
    for (const double x : m.samples) samples.push_back(number_json(x));
    metrics.push_back({{"name", m.name},
                       {"value", number_json(m.value)},
                       {"lo", m.lo ? number_json(*m.lo) : json()},
                       {"hi", m.hi ? number_json(*m.hi) : json()},
                       {"n", m.n},
                       {"unit", m.unit},
                       {"binary", m.binary},
                       {"repeatable", m.repeatable},
                       {"samples", std::move(samples)}});
  }
  return {{"metrics", std::move(metrics)}, {"broken", r.broken}, {"note", r.note}};
}

MeasureResult measure_result_of(const json& j) {
  try {
    MeasureResult r;
    r.broken = j.at("broken").get<bool>();
    r.note = j.at("note").get<std::string>();
    for (const json& m : j.at("metrics")) {
      MetricValue v;
      v.name = m.at("name").get<std::string>();
      v.value = number_of(m.at("value"));
      if (!m.at("lo").is_null()) v.lo = number_of(m.at("lo"));
      if (!m.at("hi").is_null()) v.hi = number_of(m.at("hi"));
      v.n = m.at("n").get<i64>();
      v.unit = m.at("unit").get<std::string>();
      v.binary = m.at("binary").get<bool>();
      v.repeatable = m.at("repeatable").get<bool>();
      for (const json& x : m.at("samples")) v.samples.push_back(number_of(x));
      r.metrics.push_back(std::move(v));
    }
    return r;
  } catch (const json::exception& e) {
    throw job_error("a kept result of a measure cannot be read ({}); run with --fresh", e.what());
  }
}

bool add_measure(const MeasureInfo& info) {
  auto& list = all_measures();
  const auto place = std::lower_bound(
      list.begin(), list.end(), info.name, [](const MeasureInfo& m, const std::string& name) {
        return m.name < name;
      });
  if (place != list.end() && place->name == info.name) throw bug("the measure {} is added twice", info.name);
  list.insert(place, info);
  return true;
}

std::vector<MeasureInfo> measures() { return all_measures(); }

const MeasureInfo& find_measure(const std::string& name) {
  std::vector<std::string> names;
  for (const MeasureInfo& m : all_measures()) {
    if (m.name == name) return m;
    names.push_back(m.name);
  }
  const std::string near = nearest_name(name, names);
  throw user_error("there is no measure \"{}\"; {}",
                   name,
                   near.empty() ? "see `pare list tasks`" : "did you mean \"" + near + "\"?");
}

}  // namespace pare
