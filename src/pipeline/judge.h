// Which variant differs from the baseline beyond the noise, and which stand on the Pareto front.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/pareto.h"
#include "eval/report.h"
#include "measure/measure.h"

namespace pare {

/// All metrics of one variant, in the order of the recipe's measures.
struct Measured {
  std::string variant;
  std::vector<MetricValue> metrics;
  bool broken = false;
};

/// variant − baseline on the same samples; nothing when there are no pairs. Right/wrong answers: exact
/// McNemar p; others: paired bootstrap of the mean. The interval is the bootstrap's BCa.
std::optional<PairedCell> paired_difference(const MetricValue& baseline, const MetricValue& variant);

/// The metric an objective means: its own name, "accuracy" for the first `.strict`, or the one metric that
/// ends in
/// ".name". "" when there is none.
std::string metric_of_objective(const std::string& objective, const std::vector<Measured>& all);

/// Fills measures, against_baseline and pareto of `rows` (one per entry of `all`, the baseline first), and
/// adds notes on objectives that nothing measured.
void judge(const std::vector<Measured>& all,
           const std::vector<Objective>& objectives,
           std::vector<VariantRow>& rows,
           std::vector<std::string>& notes);

}  // namespace pare
