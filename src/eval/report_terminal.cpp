#include <fmt/format.h>

#include <algorithm>

#include "eval/report_format.h"

namespace pare {
namespace {

constexpr int kNarrowest = 40, kLongestName = 30, kGap = 2;

int width_of(const report::Column& column) {
  int width = report::characters(column.title);
  for (const std::string& cell : column.cells) width = std::max(width, report::characters(cell));
  return width;
}

int width_of(const std::vector<report::Column>& columns) {
  int width = -kGap;
  for (const report::Column& column : columns) width += width_of(column) + kGap;
  return width;
}

std::string padded(const std::string& text, int width, bool left) {
  const std::string spaces(static_cast<std::size_t>(std::max(0, width - report::characters(text))), ' ');
  return left ? text + spaces : spaces + text;
}

/// Breaks at spaces; a word longer than a line is cut. Later lines begin with `indent`.
std::string wrapped(const std::string& text, int width, const std::string& indent = "  ") {
  std::string result, line;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = report::cut(text.substr(begin, end - begin), width - report::characters(indent));
    if (!line.empty() && report::characters(line) + 1 + report::characters(word) > width) {
      result += line + "\n";
      line = indent + word;
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
    begin = end + 1;
  }
  return result + line + "\n";
}

/// The columns at the form and choice that fit; the titles of what was left out go to `dropped`.
std::vector<report::Column> fitting(const ReportData& data, int width, std::vector<std::string>& dropped) {
  const auto prepared = [&](report::Intervals intervals) {
    std::vector<report::Column> columns = report::columns(data, intervals);
    for (std::string& name : columns[1].cells) name = report::cut(name, std::min(kLongestName, width / 3));
    return columns;
  };
  std::vector<report::Column> columns = prepared(report::Intervals::brackets);
  if (width_of(columns) <= width) return columns;
  columns = prepared(report::Intervals::plus_minus);
  while (width_of(columns) > width && columns.size() > 3) {
    const auto least = std::min_element(columns.begin(), columns.end(), [](const auto& a, const auto& b) {
      return a.importance < b.importance;
    });
    dropped.push_back(least->title);
    columns.erase(least);
  }
  return columns;
}

}  // namespace

std::string report_terminal(const ReportData& data, int width) {
  width = std::max(width, kNarrowest);
  std::string facts;
  const std::pair<const char*, const std::string&> all[] = {{"run", data.run},
                                                            {"recipe", data.recipe},
                                                            {"model", data.model},
                                                            {"machine", data.machine},
                                                            {"compute", data.compute}};
  for (const auto& [name, text] : all) {
    if (!text.empty()) facts += fmt::format("{}{} {}", facts.empty() ? "" : " · ", name, report::clean(text));
  }
  std::string out = facts.empty() ? "" : wrapped(facts, width) + "\n";

  std::vector<std::string> dropped;
  const std::vector<report::Column> columns = fitting(data, width, dropped);
  std::string head, rule;
  for (const report::Column& c : columns) {
    const std::string gap(head.empty() && rule.empty() ? 0 : kGap, ' ');
    head += gap + padded(c.title, width_of(c), c.left);
    rule += gap;
    for (int i = 0; i < width_of(c); ++i) rule += "─";
  }
  const auto add_line = [&](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line(head);
  add_line(rule);
  for (std::size_t row = 0; row < data.variants.size(); ++row) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      line += std::string(c == 0 ? 0 : kGap, ' ') +
              padded(columns[c].cells[row], width_of(columns[c]), columns[c].left);
    }
    add_line(line);
  }

  out += "\n";
  const std::string headline = report::headline(data);
  if (!headline.empty()) out += wrapped(headline, width) + "\n";
  for (const std::string& line : report::legend(data)) out += wrapped(line, width);
  if (!dropped.empty())
    out += wrapped(fmt::format("Not shown at this width: {}.", fmt::join(dropped, ", ")), width);
  for (const std::string& note : data.notes) out += wrapped("Note: " + report::clean(note), width);
  if (const std::string costs = report::cost_line(data); !costs.empty()) out += wrapped(costs, width);
  return out;
}

}  // namespace pare
