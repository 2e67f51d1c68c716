#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report_format.h"
#include "eval/report_plot.h"

namespace pare {
namespace {

using report::escape_html;

constexpr const char* kStyle = R"CSS(
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1d2126;--soft:#5d6570;--line:#e3e5e8;--grid:#eceef0;
--good:#1f7a3d;--bad:#c02f1d;--accent:#2f5fd0;
--c0:#2f6fde;--c1:#d9580f;--c2:#2b8a3e;--c3:#9c36b5;--c4:#c2255c;--c5:#0b7285;--c6:#8f6b00;--c7:#5c6570}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1b1f24;--ink:#e6e8eb;--soft:#9aa3ae;--line:#30363d;--grid:#262c33;
--good:#69db7c;--bad:#ff8f7d;--accent:#8ab4ff;
--c0:#74a9ff;--c1:#ff9f4a;--c2:#69db7c;--c3:#da8cf2;--c4:#f783ac;--c5:#4fd0e6;--c6:#f2cf4a;--c7:#adb5bd}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:17px;margin:0 0 4px}
.facts{display:flex;flex-wrap:wrap;gap:2px 22px;margin:0;color:var(--soft);font-size:13.5px}
.facts div{display:flex;gap:6px;min-width:0}.facts dt{opacity:.8}.facts dd{margin:0;color:var(--ink);overflow-wrap:anywhere}
.headline{margin:18px 0 0;padding:12px 16px;border-left:4px solid var(--accent);background:var(--card);border-radius:0 8px 8px 0;font-size:16px;text-wrap:balance}
section,details{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin-top:18px}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:18px;margin-top:18px}
.pair>section{margin:0;min-width:0}
.say{margin:0 0 8px;color:var(--soft);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{font-weight:600;color:var(--soft);text-align:right;padding:6px 10px;border-bottom:2px solid var(--line);white-space:nowrap}
td{text-align:right;padding:7px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
tbody tr:hover{background:color-mix(in srgb,var(--accent) 7%,transparent)}
.l{text-align:left}.mark{width:1px;padding-right:2px;text-align:center}.star{color:#c98a00}.x,.bad-text{color:var(--bad)}.good-text{color:var(--good)}
tr.broken td:not(.mark){opacity:.55}tr.total td{font-weight:600;border-top:2px solid var(--line)}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px;background:currentColor}
.legend{margin:10px 0 0;padding:0;list-style:none;color:var(--soft);font-size:13px}
.keys{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:13px;margin:4px 0 0;padding:0;list-style:none}
.keys .swatch{height:4px;width:16px;vertical-align:middle}.keys .text{color:var(--ink)}
.muted{color:var(--soft)}summary{cursor:pointer;font-weight:600}
details table{margin-top:10px}code{font-size:12.5px}
footer{margin-top:22px;color:var(--soft);font-size:13px}
.plot{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft)}.tick{fill:var(--soft);font-size:11.5px}.axis-title{fill:var(--soft);font-size:12.5px}
.label{fill:var(--ink);paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}.strong{font-weight:600}
.leader{stroke:var(--soft);stroke-width:.8}.steps{fill:none;stroke:var(--accent);stroke-width:1.5;stroke-dasharray:5 4;opacity:.75}
.bar{stroke:currentColor;stroke-width:1.4;opacity:.6;fill:none}.dot{fill:currentColor;stroke:var(--card);stroke-width:1.5}
.ring{fill:var(--card);stroke:currentColor;stroke-width:2}.cross{stroke:currentColor;stroke-width:2.2;fill:none}
.curve{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}.faint{fill:none;stroke:currentColor;stroke-width:1;opacity:.28}.dashed{stroke-dasharray:6 3}
.delta{display:flex;justify-content:space-between;align-items:center}
.interval{width:110px;height:16px;vertical-align:middle;margin-right:10px}
.interval .zero{stroke:var(--line);stroke-width:1.5}.interval .span{stroke:currentColor;stroke-width:2.5;opacity:.55}.interval circle{fill:currentColor}
.good{color:var(--good)}.bad{color:var(--bad)}.even{color:var(--soft)}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
@media print{body{background:#fff}section{break-inside:avoid}}
)CSS";

int colour_of(const ReportData& data, const std::string& variant) {
  for (std::size_t i = 0; i < data.variants.size(); ++i) {
    if (data.variants[i].name == variant) return static_cast<int>(i);
  }
  return static_cast<int>(data.variants.size());
}

std::string swatch(int colour) {
  return fmt::format(R"(<span class="swatch c{}"></span>)", colour % report::kColours);
}

std::string header(const ReportData& data) {
  const std::string title = data.recipe.empty() ? "Report" : data.recipe;
  std::string out = fmt::format("<header><h1>{}</h1><dl class=\"facts\">", escape_html(title));
  const std::pair<const char*, const std::string&> facts[] = {
      {"run", data.run}, {"model", data.model}, {"machine", data.machine}, {"compute", data.compute}};
  for (const auto& [name, text] : facts) {
    if (!text.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, escape_html(text));
  }
  out += "</dl></header>\n";
  const std::string headline = report::headline(data);
  return headline.empty() ? out : out + fmt::format("<p class=\"headline\">{}</p>\n", escape_html(headline));
}

// ---- the two scatter plots ----

std::vector<report::PlotPoint> quality_points(const ReportData& data, const std::string& quality) {
  std::vector<report::PlotPoint> points;
  for (std::size_t i = 0; i < data.variants.size(); ++i) {
    const VariantRow& row = data.variants[i];
    const MetricCell* cell = report::find_measure(row, quality);
    report::PlotPoint p;
    p.x = p.y = std::nan("");
    if (cell) {
      const double f = report::percent_factor(*cell);
      p.y = f * cell->value;
      if (cell->lo && cell->hi) {
        p.lo = f * *cell->lo;
        p.hi = f * *cell->hi;
      }
    }
    p.label = row.name;
    p.colour = static_cast<int>(i);
    p.front = row.pareto;
    p.broken = row.broken;
    p.tooltip = fmt::format("{}: {} {} at {}",
                            row.name,
                            quality,
                            report::significant(p.y),
                            report::human_bytes(report::size_bytes(row)));
    points.push_back(std::move(p));
  }
  return points;
}

std::string plots(const ReportData& data) {
  const std::string accuracy = report::accuracy_name(data);
  const std::string quality = accuracy.empty() ? "perplexity.ppl" : accuracy;
  const auto number = [](double v) { return fmt::format("{:.4g}", v); };
  const report::Axis y = accuracy.empty() ? report::Axis{quality + " (better is up)", number, false, true}
                                          : report::Axis{quality + ", %", number};
  std::vector<report::PlotPoint> points = quality_points(data, quality);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double bytes = report::size_bytes(data.variants[i]);
    if (bytes > 0) points[i].x = bytes;
  }
  const auto size_text = [](double bytes) {  // 2 MB, where a table says 2.00 MB
    const std::string text = report::human_bytes(bytes);
    const std::size_t space = text.find(' ');
    return fmt::format("{:g}{}", std::stod(text.substr(0, space)), text.substr(space));
  };
  const std::string by_size =
      report::scatter_svg(points, {"size on disk", size_text, true}, y, report::Better::left);

  double slowest = 1e300, fastest = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const MetricCell* speed = report::find_measure(data.variants[i], "speed.decode_tok_per_s");
    points[i].x = speed ? speed->value : std::nan("");
    if (!speed || !(speed->value > 0)) continue;
    points[i].tooltip += fmt::format(", {} tok/s", report::significant(speed->value));
    slowest = std::min(slowest, speed->value);
    fastest = std::max(fastest, speed->value);
  }
  const bool log = fastest / slowest > 4;
  const report::Axis x{"decoding, tokens per second", [](double v) { return fmt::format("{:.4g}", v); }, log};
  const std::string by_speed = report::scatter_svg(points, x, y, report::Better::right);

  std::string out;
  const char* say =
      "Filled: on the supported front over all objectives. × broken. Bars: 95%. Dashed: best point values in "
      "this plane.";
  for (const auto& [title, svg] :
       {std::pair(accuracy.empty() ? "Perplexity and size" : "Accuracy and size", by_size),
        {accuracy.empty() ? "Perplexity and speed" : "Accuracy and speed", by_speed}}) {
    if (!svg.empty())
      out += fmt::format("<section><h2>{}</h2><p class=\"say\">{}</p>{}</section>\n", title, say, svg);
  }
  return out.empty() ? out : "<div class=\"pair\">" + out + "</div>\n";
}

// ---- tables ----

/// The Δ cell: coloured by its verdict, with the interval drawn.
std::string difference_cell(const std::string& text, const PairedCell* paired, double range) {
  if (!paired || !paired->lo || !paired->hi)
    return fmt::format("<td class=\"muted\">{}</td>", escape_html(text));
  const char* verdict = *paired->lo > 0 ? "good-text" : *paired->hi < 0 ? "bad-text" : "muted";
  return fmt::format("<td><div class=\"delta\">{2}<span class=\"{0}\">{1}</span></div></td>",
                     verdict,
                     escape_html(text),
                     report::interval_svg(paired->difference, *paired->lo, *paired->hi, range));
}

std::string main_table(const ReportData& data) {
  const std::vector<report::Column> columns = report::columns(data, report::Intervals::brackets);
  const std::string accuracy = report::accuracy_name(data);
  double range = 1e-9;
  for (const VariantRow& row : data.variants) {
    const PairedCell* p = report::find_paired(row, accuracy);
    if (!row.broken && p && p->lo && p->hi) range = std::max({range, std::abs(*p->lo), std::abs(*p->hi)});
  }
  std::string out = "<section><h2>Variants</h2><div class=\"scroll\"><table><thead><tr>";
  for (const report::Column& c : columns) {
    out += fmt::format("<th class=\"{}\" title=\"{}\">{}</th>",
                       c.title.empty() ? "mark"
                       : c.left        ? "l"
                                       : "",
                       escape_html(c.meaning),
                       escape_html(c.title));
  }
  out += "</tr></thead><tbody>\n";
  for (std::size_t r = 0; r < data.variants.size(); ++r) {
    const VariantRow& row = data.variants[r];
    out += row.broken ? "<tr class=\"broken\">" : "<tr>";
    for (std::size_t k = 0; k < columns.size(); ++k) {
      const std::string& text = columns[k].cells[r];
      if (k == 0) {
        out += fmt::format("<td class=\"mark {}\">{}</td>", row.broken ? "x" : "star", escape_html(text));
      } else if (k == 1) {
        out += fmt::format("<td class=\"l\" title=\"{}\">{}{}</td>",
                           escape_html(row.artefact_hash),
                           swatch(static_cast<int>(r)),
                           escape_html(text));
      } else if (columns[k].title == "Δ points") {
        out += difference_cell(text, report::find_paired(row, accuracy), range);
      } else {
        out += fmt::format("<td>{}</td>", escape_html(text));
      }
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div><ul class=\"legend\">";
  for (const std::string& line : report::legend(data)) out += fmt::format("<li>{}</li>", escape_html(line));
  return out + "</ul></section>\n";
}

std::string ratio_text(double measured, double predicted) {
  if (!(measured > 0) || !(predicted > 0)) return "–";
  return report::decimals(measured / predicted, 2) + "×";
}

std::string costs_table(const ReportData& data) {
  if (data.costs.empty()) return "";
  std::string out =
      "<section><h2>Cost: predicted and measured</h2><div class=\"scroll\"><table><thead><tr>"
      "<th class=\"l\">variant</th><th "
      "class=\"l\">stage</th><th>predicted</th><th>measured</th><th>ratio</th>"
      "<th>peak predicted</th><th>peak measured</th><th>ratio</th></tr></thead><tbody>\n";
  const auto bytes = [](i64 n) {
    return n > 0 ? report::human_bytes(static_cast<double>(n)) : std::string("–");
  };
  const auto line = [&](const std::string& start, const StageCost& c) {
    out += start;
    out += fmt::format(
        "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        c.s_predicted > 0 ? report::human_seconds(c.s_predicted) : "–",
        c.cached ? "<span class=\"muted\">" + report::measured_seconds(c) + "</span>"
                 : report::measured_seconds(c),
        ratio_text(c.s_measured, c.s_predicted),
        bytes(c.peak_bytes_predicted),
        bytes(c.peak_bytes_measured),
        ratio_text(static_cast<double>(c.peak_bytes_measured), static_cast<double>(c.peak_bytes_predicted)));
  };
  StageCost total;
  for (const StageCost& c : data.costs) {
    line(fmt::format("<tr><td class=\"l\">{}{}</td><td class=\"l\">{}</td>",
                     swatch(colour_of(data, c.variant)),
                     escape_html(c.variant),
                     escape_html(c.stage)),
         c);
    if (c.cached) continue;
    total.s_predicted += c.s_predicted;
    total.s_measured += c.s_measured;
    total.peak_bytes_predicted = std::max(total.peak_bytes_predicted, c.peak_bytes_predicted);
    total.peak_bytes_measured = std::max(total.peak_bytes_measured, c.peak_bytes_measured);
  }
  line("<tr class=\"total\"><td class=\"l\" colspan=\"2\">in all, without what was cached</td>", total);
  return out + "</tbody></table></div></section>\n";
}

std::string all_measures(const ReportData& data) {
  std::string out =
      "<details><summary>All measures</summary><div class=\"scroll\"><table><thead><tr><th "
      "class=\"l\">variant</th>"
      "<th class=\"l\">measure</th><th>value</th><th>95% interval</th><th>n</th><th>Δ to the baseline</th>"
      "<th>p</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < data.variants.size(); ++i) {
    const VariantRow& row = data.variants[i];
    for (const auto& [name, measured] : row.measures) {
      const auto& cell = measured;  // clang 14 cannot capture a structured binding
      const PairedCell* paired = report::find_paired(row, name);
      const auto between = [&](const std::optional<double>& lo, const std::optional<double>& hi) {
        return lo && hi
                   ? fmt::format("{} … {}", report::measure_text(cell, *lo), report::measure_text(cell, *hi))
                   : std::string("–");
      };
      std::string difference = "–";
      if (paired) {
        difference = report::measure_text(cell, paired->difference);
        if (paired->lo && paired->hi) difference += " (" + between(paired->lo, paired->hi) + ")";
      }
      out += fmt::format(
          "<tr><td class=\"l\">{}{}</td><td class=\"l\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
          "<td>{}</td></tr>\n",
          swatch(static_cast<int>(i)),
          escape_html(row.name),
          escape_html(name),
          escape_html(report::measure_text(cell, cell.value)),
          escape_html(between(cell.lo, cell.hi)),
          cell.n > 0 ? fmt::format("{}", cell.n) : "–",
          escape_html(difference),
          paired && paired->p ? escape_html(report::p_value(*paired->p)) : "–");
    }
  }
  out +=
      "</tbody></table></div></details>\n<details><summary>Artefacts</summary><div "
      "class=\"scroll\"><table><thead><tr>"
      "<th class=\"l\">variant</th><th class=\"l\">artefact</th><th "
      "class=\"l\">SHA-256</th></tr></thead><tbody>\n";
  for (const VariantRow& row : data.variants) {
    out += fmt::format(
        "<tr><td class=\"l\">{}</td><td class=\"l\"><code>{}</code></td><td "
        "class=\"l\"><code>{}</code></td></tr>\n",
        escape_html(row.name),
        escape_html(row.artefact),
        escape_html(row.artefact_hash));
  }
  return out + "</tbody></table></div></details>\n";
}

// ---- curves ----

std::string curve_plots(const ReportData& data) {
  std::vector<std::string> names;
  for (const Series& s : data.series) {
    if (std::find(names.begin(), names.end(), s.name) == names.end()) names.push_back(s.name);
  }
  std::string out;
  for (const std::string& name : names) {
    std::vector<report::Curve> curves;
    std::string keys;
    for (const Series& s : data.series) {
      if (s.name != name) continue;
      const int colour = colour_of(data, s.variant);
      curves.push_back({s.variant, colour, s.points});
      keys +=
          fmt::format("<li>{}<span class=\"text\">{}</span></li>", swatch(colour), escape_html(s.variant));
    }
    const std::string svg = report::curves_svg(curves, "step", name);
    if (svg.empty()) continue;
    out += fmt::format(
        "<section><h2>{}</h2>{}<ul class=\"keys\">{}</ul></section>\n", escape_html(name), svg, keys);
  }
  return out.empty() ? out : "<div class=\"pair\">" + out + "</div>\n";
}

std::string notes(const ReportData& data) {
  if (data.notes.empty()) return "";
  std::string out = "<section><h2>Notes</h2><ul>";
  for (const std::string& note : data.notes) out += fmt::format("<li>{}</li>", escape_html(note));
  return out + "</ul></section>\n";
}

}  // namespace

std::string report_html(const ReportData& data) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">"
      "<title>{} · {}</title><style>{}</style></head><body><main>\n",
      escape_html(data.recipe.empty() ? "Report" : data.recipe),
      escape_html(data.run),
      kStyle);
  out += header(data) + plots(data) + main_table(data) + curve_plots(data) + costs_table(data) + notes(data) +
         all_measures(data);
  if (!data.program_version.empty())
    out += fmt::format("<footer>pare {}</footer>\n", escape_html(data.program_version));
  return out + "</main></body></html>\n";
}

}  // namespace pare
