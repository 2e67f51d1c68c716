// What the forms of a report share: look-ups, numbers for people, the columns of the main table.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "eval/report.h"

namespace pare::report {

// ---- look-ups ----

/// nullptr where there is none.
const MetricCell* find_measure(const VariantRow& row, std::string_view name);
const PairedCell* find_paired(const VariantRow& row, std::string_view name);
/// "" where no variant has one.
std::string accuracy_name(const ReportData& data);
const VariantRow* find_baseline(const ReportData& data);
/// The size on disk: `bytes`, else the measure size.disk_bytes, else 0.
double size_bytes(const VariantRow& row);
/// Factor from the data's unit to percent: 1 or 100.
double percent_factor(const MetricCell& cell);

// ---- numbers and texts for people ----

std::string decimals(double value, int digits);
/// "Predicted and measured: …" over what was not cached; "" when all was.
std::string cost_line(const ReportData& data);
/// What a stage took, "cached" for one that did not run, with what it took then when that is known.
std::string measured_seconds(const StageCost& cost);
/// Three significant digits, without an exponent for everyday sizes.
std::string significant(double value);
std::string human_bytes(double bytes);      // 1.23 GB, powers of 1000
std::string human_seconds(double seconds);  // 0.12 s, 12.3 s, 3 min 20 s, 1 h 05 min
std::string p_value(double p);              // p=0.012, p<0.001
/// Valid UTF-8 without control characters; broken bytes become '?', line breaks spaces.
std::string clean(std::string_view text);
std::string escape_html(std::string_view text);
/// Characters of UTF-8.
int characters(std::string_view text);
/// At most `most` characters, with … at the end where something was cut.
std::string cut(const std::string& text, int most);

/// "value unit" of any measure, by its unit.
std::string measure_text(const MetricCell& cell, double value);

// ---- the main table ----

struct Column {
  std::string title;
  std::string meaning;             // one sentence
  bool left = false;               // alignment
  int importance = 0;              // the least goes first where room is short
  std::vector<std::string> cells;  // one per variant
};

enum class Intervals { brackets, plus_minus };

/// Columns that at least one variant fills, in reading order; the first is the mark (★ front, ✗ broken), the
/// second the name. Cells are clean() but not escaped.
std::vector<Column> columns(const ReportData& data, Intervals intervals);

/// Sentences that explain the marks and numbers in use.
std::vector<std::string> legend(const ReportData& data);

/// What to take home, e.g. "nf4 is 3.4x smaller than baseline …"; "" where the data do not say.
std::string headline(const ReportData& data);

}  // namespace pare::report
