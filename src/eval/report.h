// The report of a run: one set of data, four ways to show it.
//
// Names of measures are `measure.metric` (gsm8k.strict, perplexity.ppl, divergence.kl,
// speed.decode_tok_per_s, …). "The accuracy" is the first measure whose name ends in `.strict`. Shares are
// fractions in the data, percent on the page; a measure with the unit "%" is percent already. The baseline is
// the variant of that name, else the first one that is compared with nobody. Texts may hold anything: every
// form escapes them.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

struct MetricCell {
  double value = 0;
  std::optional<double> lo, hi;  // 95% interval
  i64 n = 0;                     // questions, tokens, repetitions; 0 = does not apply
  std::string unit;
};

/// variant − baseline on the same questions.
struct PairedCell {
  double difference = 0;
  std::optional<double> lo, hi, p;
};

struct VariantRow {
  std::string name, artefact, artefact_hash;
  i64 bytes = 0;
  bool broken = false;  // fails its checks; never on the front
  bool pareto = false;  // on the supported front (eval/pareto.h)
  std::vector<std::pair<std::string, MetricCell>> measures;
  std::vector<std::pair<std::string, PairedCell>> against_baseline;
};

/// A curve, e.g. the training loss of one variant: (step, value).
struct Series {
  std::string variant, name;
  std::vector<std::pair<double, double>> points;
};

/// 0 = not known: what was cached when this run first saw it.
struct StageCost {
  std::string variant, stage;
  bool cached = false;
  double s_predicted = 0, s_measured = 0;
  i64 peak_bytes_predicted = 0, peak_bytes_measured = 0;
};

struct ReportData {
  std::string run, recipe, model, machine, compute, program_version;
  std::vector<VariantRow> variants;
  std::vector<StageCost> costs;
  std::vector<Series> series;
  std::vector<std::string> notes;
};

/// {"run", "recipe", "variants": [{"name", "artefact", "artefact_hash", "bytes", "broken", "measures": {NAME:
/// {"value", "lo", "hi", "n", "unit"}}, "against_baseline": {NAME: {"difference", "lo", "hi", "p"}},
/// "pareto"}]}. What is absent or not finite is null.
json report_json(const ReportData& data);

/// An aligned table with legend and notes, no line wider than `width` columns (at least 40): intervals become
/// ± and less important columns are left out, by name, until it fits. No colours; control characters are
/// removed.
std::string report_terminal(const ReportData& data, int width = 100);

/// The same table in GitHub's Markdown, with the costs and all measures.
std::string report_markdown(const ReportData& data);

/// One HTML file that needs nothing else: no script, no network; light and dark.
std::string report_html(const ReportData& data);

}  // namespace pare
