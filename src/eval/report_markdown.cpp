#include <fmt/format.h>

#include "eval/report_format.h"

namespace pare {
namespace {

/// Characters that mean something to Markdown become literal.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : report::clean(text)) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '&') {
      result += "&amp;";
    } else {
      if (std::string_view("\\`*_[]|#~>").find(c) != std::string_view::npos) result += '\\';
      result += c;
    }
  }
  return result;
}

std::string row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string table(const std::vector<report::Column>& columns, std::size_t rows) {
  std::vector<std::string> head, rule;
  for (const report::Column& c : columns) {
    head.push_back(escaped(c.title));
    rule.push_back(c.left ? ":--" : "--:");
  }
  std::string out = row(head) + row(rule);
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<std::string> cells;
    for (const report::Column& c : columns) cells.push_back(escaped(c.cells[r]));
    out += row(cells);
  }
  return out;
}

std::string costs_table(const std::vector<StageCost>& costs) {
  std::string out = row({"variant", "stage", "predicted", "measured", "peak predicted", "peak measured"});
  out += row({":--", ":--", "--:", "--:", "--:", "--:"});
  const auto bytes = [](i64 n) {
    return n > 0 ? report::human_bytes(static_cast<double>(n)) : std::string("–");
  };
  for (const StageCost& c : costs) {
    out += row({escaped(c.variant),
                escaped(c.stage),
                c.s_predicted > 0 ? report::human_seconds(c.s_predicted) : "–",
                report::measured_seconds(c),
                bytes(c.peak_bytes_predicted),
                bytes(c.peak_bytes_measured)});
  }
  return out;
}

}  // namespace

std::string report_markdown(const ReportData& data) {
  std::string out = fmt::format("# {}\n\n", data.recipe.empty() ? "Report" : escaped(data.recipe));
  const std::pair<const char*, const std::string&> facts[] = {{"run", data.run},
                                                              {"model", data.model},
                                                              {"machine", data.machine},
                                                              {"compute", data.compute},
                                                              {"version", data.program_version}};
  for (const auto& [name, text] : facts) {
    if (!text.empty()) out += fmt::format("- {}: {}\n", name, escaped(text));
  }
  const std::string headline = report::headline(data);
  if (!headline.empty()) out += "\n" + escaped(headline) + "\n";
  out += "\n" + table(report::columns(data, report::Intervals::brackets), data.variants.size()) + "\n";
  for (const std::string& line : report::legend(data)) out += escaped(line) + "  \n";
  if (!data.costs.empty()) out += "\n## Cost: predicted and measured\n\n" + costs_table(data.costs);

  out += "\n## All measures\n\n" + row({"variant", "measure", "value", "interval", "n"});
  out += row({":--", ":--", "--:", "--:", "--:"});
  for (const VariantRow& v : data.variants) {
    for (const auto& [name, cell] : v.measures) {
      const std::string interval = cell.lo && cell.hi ? fmt::format("{} … {}",
                                                                    report::measure_text(cell, *cell.lo),
                                                                    report::measure_text(cell, *cell.hi))
                                                      : "–";
      out += row({escaped(v.name),
                  escaped(name),
                  escaped(report::measure_text(cell, cell.value)),
                  escaped(interval),
                  cell.n > 0 ? fmt::format("{}", cell.n) : "–"});
    }
  }
  if (!data.notes.empty()) out += "\n## Notes\n\n";
  for (const std::string& note : data.notes) out += "- " + escaped(note) + "\n";
  return out;
}

}  // namespace pare
