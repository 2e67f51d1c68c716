// The golden numbers of tests/golden/stats (see the comment at each use for where they come from).
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/json.h"

namespace pare {

inline const json& stats_goldens() {
  static const json all = read_json(std::string(PARE_TEST_DATA) + "/stats/goldens.json");
  return all;
}

/// Numbers that JSON cannot hold are texts there.
inline double number(const json& value) {
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_string()) return value.get<double>();
  const std::string text = value.get<std::string>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  return text == "-Infinity" ? -HUGE_VAL : HUGE_VAL;
}

inline std::vector<double> numbers(const json& list) {
  std::vector<double> result;
  for (const json& value : list) result.push_back(number(value));
  return result;
}

/// Relative closeness; equal infinities and NaN with NaN are close.
inline ::testing::AssertionResult close(double found, double expected, double relative, double absolute = 0) {
  if (found == expected || (std::isnan(found) && std::isnan(expected))) return ::testing::AssertionSuccess();
  if (std::abs(found - expected) <= relative * std::abs(expected) + absolute) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "found " << ::testing::PrintToString(found) << ", expected "
                                       << expected << " within " << relative << " relative";
}

}  // namespace pare
