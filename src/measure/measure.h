// What a measure is: a function of an artefact, re-loaded from disk, that gives named numbers.
//
// A measure is one file: it registers itself with add_measure() and appears in recipes, `pare list`, and
// reports.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"
#include "model/config.h"

namespace pare {

struct MetricValue {
  std::string name;  // "gsm8k.strict", "perplexity.ppl", …
  double value = 0;
  std::optional<double> lo, hi;  // 95 % interval
  i64 n = 0;
  std::string unit;
  /// One value per sample, in one order for every variant, for paired tests; empty where pairs make no sense.
  std::vector<double> samples;
  bool binary = false;     // samples are 0/1: McNemar; else paired bootstrap of the mean
  bool repeatable = true;  // false: speed, memory, seconds (excluded when runs are compared bit for bit)
};

struct MeasureResult {
  std::vector<MetricValue> metrics;
  bool broken = false;  // the variant is marked broken (divergence gate)
  std::string note;     // a line for the report: the convention used, why broken, …
};
json measure_result_json(const MeasureResult& r);
MeasureResult measure_result_of(const json& j);

struct MeasureInput {
  std::filesystem::path model;     // the artefact's directory
  std::filesystem::path baseline;  // the baseline variant's directory; empty for the baseline itself
  std::string data;                // the recipe's data.eval: "sums:test", a .jsonl of problems, a text file
  json options;                    // the measure's own options from the recipe
  json decode;                     // the recipe's `decode`
  std::string compute;             // "exact" | "fast"
  std::filesystem::path work;      // survives a kill: journals
  std::string shots = "";          // the recipe's data.shots: solved examples to show; "" = not given
};

/// What a plan knows before anything is made: the model's shape and the bytes of its weights.
struct MeasureLoad {
  const Config& config;
  i64 model_bytes = 0;
  i64 baseline_bytes = 0;  // 0 for the baseline itself
  std::string data;        // as in MeasureInput
  json options, decode;
  double flop_per_s = 0;   // f32 peak of this machine
  double bytes_per_s = 0;  // read bandwidth of this machine
};
struct MeasureCost {
  double s = 0;
  i64 bytes = 0;  // beyond what the program itself holds: weights, cache, activations
};

using MeasureFunction = MeasureResult (*)(const MeasureInput& input);
struct MeasureInfo {
  std::string name;  // "task.gsm8k", "perplexity", "divergence", "speed", "memory", "size"
  int version = 1;   // raised when results change: part of the result's key
  std::string summary;
  bool needs_baseline = false;
  bool cacheable = true;  // false: measured anew by `--fresh`; still kept as results
  /// Throws a user error for options that run() would refuse: before anything is made.
  void (*check)(const json& options, const json& decode);
  MeasureCost (*estimate)(const MeasureLoad& load);
  MeasureFunction run;
};
/// Registers a measure. Throws a bug when the name is taken.
bool add_measure(const MeasureInfo& info);
std::vector<MeasureInfo> measures();
/// Throws a user error with the nearest name when there is none.
const MeasureInfo& find_measure(const std::string& name);

}  // namespace pare
