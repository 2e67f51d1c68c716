// The options of a measure: the same list of fields as a stage's would be, checked where the measure runs.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/types.h"

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

}  // namespace pare
