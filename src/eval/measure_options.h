// The options of a measure: the same list of fields as a stage's would be, checked where the measure runs.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/types.h"
#include "measure/activations.h"
#include "measure/measure.h"
#include "measure/score.h"

namespace pare {

/// Throws a user error for a key of `options` that is not in `known`, with the nearest name.
inline void check_measure_options(const std::string& measure,
                                  const json& options,
                                  std::initializer_list<std::string> known) {
  if (options.is_null()) return;
  for (const auto& [key, value] : options.items()) {
    const std::vector<std::string> names(known);
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string near = nearest_name(key, names);
    throw user_error(
        "{} has no option \"{}\"{}", measure, key, near.empty() ? "" : "; did you mean \"" + near + "\"?");
  }
}

/// A whole number of the options, or the fallback. Throws a user error when it is no whole number or below
/// `low`.
inline i64 measure_integer(
    const std::string& measure, const json& options, const char* key, i64 fallback, i64 low = 0) {
  if (options.is_null() || !options.contains(key)) return fallback;
  if (!options[key].is_number_integer() || options[key].get<i64>() < low)
    throw user_error("{}: {} is {}, expected a whole number from {}", measure, key, options[key].dump(), low);
  return options[key].get<i64>();
}

/// Seconds of `tokens` tokens through the model in batches: two flops a weight, at the share of the peak that
/// whole forward passes of small models reach.
inline double forward_s(const MeasureLoad& load, double tokens) {
  constexpr double kShareOfPeak = 0.4;
  return tokens * 2 * static_cast<double>(load.config.parameters()) / (kShareOfPeak * load.flop_per_s);
}

/// What the measures that score texts take: `limit` problems or documents, in windows.
struct TextScoreOptions {
  ScoreOptions score;
  i64 limit = 0;
};
inline TextScoreOptions score_options(const std::string& measure, const json& options) {
  check_measure_options(measure, options, {"limit", "window", "stride"});
  TextScoreOptions o;
  o.score.window = measure_integer(measure, options, "window", 0);
  o.score.stride = measure_integer(measure, options, "stride", 0);
  o.limit = measure_integer(measure, options, "limit", 200);
  return o;
}

/// Bytes of activations of one model while it scores.
inline i64 scoring_bytes(const Config& c, const ScoreOptions& o) {
  return activation_bytes(c, o.batch_rows, std::min(c.max_positions, logit_rows(c.V)));
}

}  // namespace pare
