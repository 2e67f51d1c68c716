#include "eval/report_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pare::report {
namespace {

constexpr const char* kSpeed = "speed.decode_tok_per_s";
constexpr const char* kNone = "–";

template <class Cell>
const Cell* find(const std::vector<std::pair<std::string, Cell>>& cells, std::string_view name) {
  const auto found = std::find_if(cells.begin(), cells.end(), [&](const auto& c) { return c.first == name; });
  return found == cells.end() ? nullptr : &found->second;
}

/// Length of the valid UTF-8 character at the start of `text`, 0 when it is broken.
std::size_t character_length(std::string_view text) {
  const unsigned char first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  if (length == 3) {  // overlong forms and surrogates
    const unsigned char second = static_cast<unsigned char>(text[1]);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0)) return 0;
  }
  if (length == 4) {
    const unsigned char second = static_cast<unsigned char>(text[1]);
    if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90)) return 0;
  }
  return length;
}

std::string signed_decimals(double value, int digits) {
  return (value > 0 ? "+" : "") + decimals(value, digits);
}

std::string with_interval(const std::string& value, double lo, double hi, Intervals intervals) {
  if (intervals == Intervals::brackets)
    return fmt::format("{} [{}, {}]", value, decimals(lo, 1), decimals(hi, 1));
  return fmt::format("{} ±{}", value, decimals((hi - lo) / 2, 1));
}

std::string accuracy_text(const MetricCell& cell, Intervals intervals) {
  const double f = percent_factor(cell);
  const std::string value = decimals(f * cell.value, 1) + "%";
  return cell.lo && cell.hi ? with_interval(value, f * *cell.lo, f * *cell.hi, intervals) : value;
}

std::string difference_text(const PairedCell& cell, double factor, Intervals intervals) {
  std::string text = signed_decimals(factor * cell.difference, 1);
  if (cell.lo && cell.hi) text = with_interval(text, factor * *cell.lo, factor * *cell.hi, intervals);
  if (cell.p) text += " " + p_value(*cell.p);
  return text;
}

template <class Text>
Column column(const ReportData& data, Column header, Text&& text) {
  for (const VariantRow& row : data.variants) header.cells.push_back(text(row));
  return header;
}

/// A column of one measure, with an empty text where a variant lacks it.
template <class Text>
Column measure_column(const ReportData& data, Column header, const std::string& name, Text&& text) {
  return column(data, std::move(header), [&](const VariantRow& row) {
    const MetricCell* cell = find_measure(row, name);
    return cell ? text(*cell) : std::string();
  });
}

}  // namespace

const MetricCell* find_measure(const VariantRow& row, std::string_view name) {
  return find(row.measures, name);
}
const PairedCell* find_paired(const VariantRow& row, std::string_view name) {
  return find(row.against_baseline, name);
}

std::string accuracy_name(const ReportData& data) {
  for (const VariantRow& row : data.variants) {
    for (const auto& [name, cell] : row.measures) {
      if (name.ends_with(".strict")) return name;
    }
  }
  return "";
}

const VariantRow* find_baseline(const ReportData& data) {
  for (const VariantRow& row : data.variants) {
    if (row.name == "baseline") return &row;
  }
  for (const VariantRow& row : data.variants) {
    if (row.against_baseline.empty()) return &row;
  }
  return nullptr;
}

double size_bytes(const VariantRow& row) {
  if (row.bytes > 0) return static_cast<double>(row.bytes);
  const MetricCell* cell = find_measure(row, "size.disk_bytes");
  return cell ? cell->value : 0;
}

double percent_factor(const MetricCell& cell) { return cell.unit == "%" ? 1 : 100; }

std::string decimals(double value, int digits) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{:.{}f}", value, digits);
  // Nothing is left of "-0.0" but a wrong sign.
  if (text[0] == '-' && text.find_first_of("123456789") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string significant(double value) {
  const double size = std::abs(value);
  if (size == 0 || !std::isfinite(value)) return decimals(value, 0);
  if (size < 1e-4 || size >= 1e7) return fmt::format("{:.2e}", value);
  // The exponent after rounding: 0.9999 is 1.00, not 1.000.
  const std::string rounded = fmt::format("{:.2e}", value);
  const int exponent = std::stoi(rounded.substr(rounded.find('e') + 1));
  return decimals(value, std::clamp(2 - exponent, 0, 6));
}

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; unit < 4 && std::abs(bytes) >= 999.5; ++unit) bytes /= 1000;
  return (unit == 0 ? decimals(bytes, 0) : significant(bytes)) + " " + units[unit];
}

std::string human_seconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 99.5) return significant(seconds) + " s";
  const i64 whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string cost_line(const ReportData& data) {
  StageCost all;
  for (const StageCost& c : data.costs) {
    if (c.cached) continue;
    all.s_predicted += c.s_predicted;
    all.s_measured += c.s_measured;
    all.peak_bytes_predicted = std::max(all.peak_bytes_predicted, c.peak_bytes_predicted);
    all.peak_bytes_measured = std::max(all.peak_bytes_measured, c.peak_bytes_measured);
  }
  if (!(all.s_measured > 0)) return "";
  std::string line =
      fmt::format("Predicted {}, took {}", human_seconds(all.s_predicted), human_seconds(all.s_measured));
  if (all.peak_bytes_measured > 0)
    line += fmt::format("; predicted peak memory {}, measured {}",
                        human_bytes(static_cast<double>(all.peak_bytes_predicted)),
                        human_bytes(static_cast<double>(all.peak_bytes_measured)));
  return line + ". Stage by stage in the report.";
}

std::string measured_seconds(const StageCost& cost) {
  if (!cost.cached) return human_seconds(cost.s_measured);
  return cost.s_measured > 0 ? human_seconds(cost.s_measured) + " (cached)" : "cached";
}

std::string p_value(double p) { return p < 0.001 ? "p<0.001" : fmt::format("p={}", decimals(p, 3)); }

std::string clean(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const unsigned char first = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      result += '?';
    } else if (first == '\n' || first == '\r' || first == '\t') {
      result += ' ';
    } else if (first >= 0x20 && first != 0x7F &&
               !(length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0)) {
      result += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : clean(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

int characters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cut(const std::string& text, int most) {
  if (characters(text) <= most) return text;
  std::string result;
  int kept = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80 && ++kept >= most) break;
    result += text[i];
  }
  return result + "…";
}

std::string measure_text(const MetricCell& cell, double value) {
  const std::string unit = clean(cell.unit);
  if (unit == "bytes" || unit == "byte" || unit == "B") return human_bytes(value);
  if (unit == "s") return human_seconds(value);
  if (unit == "fraction" || unit == "share") return decimals(100 * value, 1) + "%";
  if (unit == "%") return decimals(value, 1) + "%";
  return significant(value) + (unit.empty() ? "" : " " + unit);
}

std::vector<Column> columns(const ReportData& data, Intervals intervals) {
  const std::string accuracy = accuracy_name(data);
  const VariantRow* baseline = find_baseline(data);
  std::vector<Column> all;
  all.push_back(column(data, {"", "★ on the front, ✗ broken", true, 100, {}}, [](const VariantRow& row) {
    return std::string(row.broken ? "✗" : row.pareto ? "★" : "");
  }));
  all.push_back(column(data, {"variant", "name in the recipe", true, 100, {}}, [](const VariantRow& row) {
    return clean(row.name);
  }));
  all.push_back(measure_column(data,
                               {clean(accuracy), "share of right answers with its interval", false, 90, {}},
                               accuracy,
                               [&](const MetricCell& c) { return accuracy_text(c, intervals); }));
  all.push_back(column(data,
                       {"Δ points", "paired difference to the baseline, in points", false, 80, {}},
                       [&](const VariantRow& row) {
                         const PairedCell* paired = find_paired(row, accuracy);
                         const MetricCell* cell = find_measure(row, accuracy);
                         if (&row == baseline && !paired)
                           return std::string(data.variants.size() > 1 ? "baseline" : "");
                         return paired
                                    ? difference_text(*paired, cell ? percent_factor(*cell) : 100, intervals)
                                    : std::string();
                       }));
  all.push_back(
      measure_column(data,
                     {"KL", "divergence from the baseline's next-token distribution, nats", false, 50, {}},
                     "divergence.kl",
                     [](const MetricCell& c) { return significant(c.value); }));
  all.push_back(
      measure_column(data,
                     {"top-1", "share of tokens where the likeliest one is the baseline's", false, 40, {}},
                     "divergence.top1",
                     [](const MetricCell& c) { return decimals(percent_factor(c) * c.value, 1) + "%"; }));
  all.push_back(
      measure_column(data, {"ppl", "perplexity", false, 60, {}}, "perplexity.ppl", [](const MetricCell& c) {
        return c.value < 1000 ? fmt::format("{:#.4g}", c.value) : significant(c.value);
      }));
  all.push_back(column(data, {"size", "bytes on disk", false, 85, {}}, [](const VariantRow& row) {
    const double bytes = size_bytes(row);
    return bytes > 0 ? human_bytes(bytes) : std::string();
  }));
  all.push_back(measure_column(data,
                               {"tok/s", "decoding speed at batch 1, tokens per second", false, 70, {}},
                               kSpeed,
                               [](const MetricCell& c) { return significant(c.value); }));
  all.push_back(measure_column(data,
                               {"peak mem", "largest resident memory", false, 30, {}},
                               "memory.peak_bytes",
                               [](const MetricCell& c) { return human_bytes(c.value); }));
  all.push_back(measure_column(data,
                               {"J/tok", "energy per generated token", false, 20, {}},
                               "energy.joule_per_token",
                               [](const MetricCell& c) { return significant(c.value); }));
  std::erase_if(all, [](const Column& c) {
    return c.importance < 100 &&
           std::all_of(c.cells.begin(), c.cells.end(), [](const auto& t) { return t.empty(); });
  });
  for (Column& c : all) {
    for (std::string& text : c.cells) {
      if (text.empty() && !c.title.empty()) text = kNone;
    }
  }
  return all;
}

std::vector<std::string> legend(const ReportData& data) {
  const auto any = [&](auto&& test) { return std::any_of(data.variants.begin(), data.variants.end(), test); };
  const std::string accuracy = accuracy_name(data);
  std::vector<std::string> lines;
  if (any([](const VariantRow& r) { return r.pareto && !r.broken; })) {
    lines.push_back(
        "★ on the front: no variant is better in an objective beyond the noise without being worse in one.");
  }
  if (any([](const VariantRow& r) { return r.broken; })) {
    lines.push_back("✗ broken: failed its checks; its numbers are shown but it is never on the front.");
  }
  if (!accuracy.empty()) lines.push_back("Intervals are 95%.");
  if (any([&](const VariantRow& r) { return find_paired(r, accuracy) != nullptr; })) {
    lines.push_back("Δ is variant − baseline in points, paired on the same questions; p is two-sided.");
  }
  return lines;
}

std::string headline(const ReportData& data) {
  const VariantRow* baseline = find_baseline(data);
  const std::string accuracy = accuracy_name(data);
  if (!baseline || accuracy.empty() || size_bytes(*baseline) <= 0) return "";
  const VariantRow* best = nullptr;
  for (const VariantRow& row : data.variants) {
    const PairedCell* paired = find_paired(row, accuracy);
    if (&row == baseline || row.broken || !paired || !paired->lo || !paired->hi || *paired->hi < 0) continue;
    const double bytes = size_bytes(row);
    if (bytes > 0 && bytes < size_bytes(*baseline) && (!best || bytes < size_bytes(*best))) best = &row;
  }
  if (!best) return "No smaller variant keeps the baseline's accuracy within the noise of the data.";
  const PairedCell& paired = *find_paired(*best, accuracy);
  const MetricCell* cell = find_measure(*best, accuracy);
  const double f = cell ? percent_factor(*cell) : 100;
  std::string text =
      fmt::format("The smallest variant that is not worse than {} beyond the noise is {}: {}× smaller",
                  clean(baseline->name),
                  clean(best->name),
                  decimals(size_bytes(*baseline) / size_bytes(*best), 1));
  const MetricCell* before = find_measure(*baseline, kSpeed);
  const MetricCell* after = find_measure(*best, kSpeed);
  if (before && after && before->value > 0 && after->value > 0) {
    const double ratio = after->value / before->value;
    text += ratio >= 1 ? fmt::format(", {}× faster", decimals(ratio, 1))
                       : fmt::format(", {}× slower", decimals(1 / ratio, 1));
  }
  return text + fmt::format(", {} points of accuracy [{}, {}].",
                            signed_decimals(f * paired.difference, 1),
                            signed_decimals(f * *paired.lo, 1),
                            signed_decimals(f * *paired.hi, 1));
}

}  // namespace pare::report
