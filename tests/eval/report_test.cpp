#include "eval/report.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "eval/report_format.h"
#include "eval/report_labels.h"
#include "eval/report_plot.h"

namespace pare {
namespace {

VariantRow variant(
    const std::string& name, double accuracy, double half, i64 bytes, double speed, bool pareto) {
  VariantRow row;
  row.name = name;
  row.artefact = "store/objects/" + name;
  row.artefact_hash = std::string(64, 'a');
  row.bytes = bytes;
  row.pareto = pareto;
  row.measures = {{"gsm8k.strict", {accuracy, accuracy - half, accuracy + half, 1319, "fraction"}},
                  {"gsm8k.flexible", {accuracy + 0.004, accuracy - half, accuracy + half, 1319, "fraction"}},
                  {"perplexity.ppl", {12.3 + (0.9 - accuracy) * 8, 12.0, 15.0, 245000, ""}},
                  {"divergence.kl", {(0.9 - accuracy) * 0.4, {}, {}, 4096, "nats"}},
                  {"divergence.top1", {0.9 + accuracy / 11, {}, {}, 4096, "fraction"}},
                  {"speed.decode_tok_per_s", {speed, speed * 0.97, speed * 1.03, 9, "tok/s"}},
                  {"memory.peak_bytes", {static_cast<double>(bytes) * 1.3, {}, {}, 0, "bytes"}}};
  return row;
}

ReportData sample() {
  ReportData data;
  data.run = "3f9a1c20";
  data.recipe = "quickstart";
  data.model = "sums-3m (Llama, 3.1M parameters)";
  data.machine = "2 cores, AVX2, read 29 GB/s";
  data.compute = "f32, avx2, 2 threads";
  data.program_version = "0.1.0";
  data.variants = {variant("baseline", 0.871, 0.018, 12'600'000, 412, true),
                   variant("int8", 0.869, 0.018, 3'700'000, 640, true),
                   variant("nf4", 0.842, 0.020, 2'050'000, 820, false),
                   variant("gptq4", 0.866, 0.018, 2'010'000, 905, true),
                   variant("gptq3", 0.741, 0.024, 1'620'000, 880, true),
                   variant("sparse50", 0.812, 0.021, 12'600'000, 409, false),
                   variant("sparse50+lora", 0.858, 0.019, 12'650'000, 401, false),
                   variant("fp4-broken", 0.012, 0.006, 1'990'000, 815, false)};
  data.variants[7].broken = true;
  for (std::size_t i = 1; i < data.variants.size(); ++i) {
    const double d = data.variants[i].measures[0].second.value - 0.871;
    data.variants[i].against_baseline = {
        {"gsm8k.strict", {d, d - 0.014, d + 0.014, d < -0.014 ? 0.0004 : 0.41}}};
  }
  data.costs = {{"int8", "quantize.int8", false, 0.8, 0.91, 40'000'000, 38'500'000},
                {"gptq4", "quantize.gptq", false, 12.5, 14.9, 120'000'000, 131'000'000},
                {"sparse50", "prune.wanda", true, 4.1, 0, 90'000'000, 0},
                {"sparse50+lora", "finetune.lora", false, 62, 58.4, 310'000'000, 287'000'000}};
  for (const char* name : {"sparse50+lora", "gptq4"}) {
    Series loss{name, "loss", {}};
    for (int step = 0; step < 3000; ++step) {
      const double wobble = 0.06 * std::sin(step * 0.7) + 0.03 * std::sin(step * 2.3);
      loss.points.emplace_back(step, (name[0] == 's' ? 0.9 : 1.2) + 2.4 * std::exp(-step / 400.0) + wobble);
    }
    data.series.push_back(loss);
  }
  data.notes = {"fp4-broken: perplexity is not finite on 3 of 40 windows."};
  return data;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Every tag closed in order, with the void tags of HTML; SVG closes its own.
::testing::AssertionResult well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return ::testing::AssertionFailure() << "a tag is not closed";
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return ::testing::AssertionFailure() << "a tag in a tag: " << tag;
    if (tag[0] == '!' || tag.back() == '/') continue;
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (name == "meta") continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else {
      if (open.empty() || "/" + open.back() != tag)
        return ::testing::AssertionFailure() << tag << " closes nothing";
      open.pop_back();
    }
  }
  return open.empty() ? ::testing::AssertionSuccess()
                      : ::testing::AssertionFailure() << open.back() << " stays open";
}

TEST(Report, JsonHasExactlyTheShapeScriptsRelyOn) {
  ReportData data = sample();
  data.variants.resize(2);
  data.variants[0].measures.resize(1);
  data.variants[1].measures = {{"perplexity.ppl", {NAN, {}, {}, 7, ""}}};
  data.variants[1].against_baseline = {{"gsm8k.strict", {-0.25, -0.5, {}, 0.125}}};
  EXPECT_EQ(report_json(data),
            parse_json(R"({"run": "3f9a1c20", "recipe": "quickstart", "variants": [
    {"name": "baseline", "artefact": "store/objects/baseline", "artefact_hash": ")" +
                           std::string(64, 'a') + R"(",
     "bytes": 12600000, "broken": false,
     "measures": {"gsm8k.strict": {"value": 0.871, "lo": 0.853, "hi": 0.889, "n": 1319, "unit": "fraction"}},
     "against_baseline": {}, "pareto": true},
    {"name": "int8", "artefact": "store/objects/int8", "artefact_hash": ")" +
                           std::string(64, 'a') + R"(",
     "bytes": 3700000, "broken": false,
     "measures": {"perplexity.ppl": {"value": null, "lo": null, "hi": null, "n": 7, "unit": ""}},
     "against_baseline": {"gsm8k.strict": {"difference": -0.25, "lo": -0.5, "hi": null, "p": 0.125}}, "pareto": true}
    ]})",
                       "expected"));
}

TEST(Report, TerminalFitsItsWidthAndShowsEveryVariant) {
  for (const int width : {60, 80, 100, 120, 160}) {
    const std::string text = report_terminal(sample(), width);
    for (const std::string& line : lines_of(text)) EXPECT_LE(report::characters(line), width) << line;
    for (const VariantRow& row : sample().variants)
      EXPECT_NE(text.find(row.name), std::string::npos) << row.name;
    EXPECT_NE(text.find("86.6%"), std::string::npos) << width;
    EXPECT_EQ(count(text, "★"), 5) << "four marks and the legend";
    EXPECT_EQ(count(text, "✗"), 2);
  }
  EXPECT_NE(report_terminal(sample(), 160).find("[-1.9, +0.9]"), std::string::npos)
      << report_terminal(sample(), 160);
  EXPECT_NE(report_terminal(sample(), 100).find("±1.4"), std::string::npos);
  EXPECT_NE(report_terminal(sample(), 60).find("Not shown at this width"), std::string::npos);
}

TEST(Report, TerminalColumnsLineUp) {
  const std::vector<std::string> lines = lines_of(report_terminal(sample(), 120));
  std::size_t head = 0;
  while (lines[head].find("variant") == std::string::npos) ++head;
  const int width = report::characters(lines[head]);
  for (std::size_t i = head + 2; i < head + 2 + sample().variants.size(); ++i) {
    EXPECT_EQ(report::characters(lines[i]), width) << lines[i];
  }
}

TEST(Report, TextsFromOutsideCannotBreakAnyForm) {
  ReportData data = sample();
  const std::string evil = "<script>alert(\"1\")</script>|`x`\x1b[31m\xff & 'q'\n# h";
  data.recipe = data.run = data.model = data.notes[0] = evil;
  data.variants[1].name = data.variants[1].artefact = evil;
  data.variants[1].measures[0].second.unit = evil;
  data.variants[1].measures.push_back({evil, {1, {}, {}, 0, evil}});
  data.costs[0].stage = data.costs[0].variant = data.series[0].name = data.series[0].variant = evil;
  const std::string html = report_html(data);
  EXPECT_TRUE(well_formed(html));
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(&quot;1&quot;)"), std::string::npos);
  for (const std::string& text : {html, report_terminal(data, 110), report_markdown(data)}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find('\xff'), std::string::npos);
  }
  const std::string markdown = report_markdown(data);
  EXPECT_EQ(markdown.find("<script"), std::string::npos);
  EXPECT_EQ(count(markdown, "\n# "), 0);
  EXPECT_NE(markdown.find("\\|\\`x\\`"), std::string::npos);
}

TEST(Report, HtmlIsOneWellFormedFileWithoutTheNetwork) {
  const ReportData data = sample();
  const std::string html = report_html(data);
  EXPECT_TRUE(well_formed(html));
  for (const char* outside : {"http:", "https:", "src=", "url(", "@import", "<link", "<script"}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
  EXPECT_EQ(count(html, "<svg class=\"plot\""), 3);
  for (const VariantRow& row : data.variants) EXPECT_GE(count(html, ">" + row.name + "<"), 3) << row.name;
  EXPECT_NE(html.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_LT(html.size(), 120'000u) << "curves are thinned";
  // To look at it: PARE_REPORT_OUT=report.html test_eval
  if (const char* out = std::getenv("PARE_REPORT_OUT")) write_file_atomic(out, html);
}

TEST(Report, HeadlineNamesTheSmallestVariantThatIsNotWorseBeyondTheNoise) {
  EXPECT_NE(report::headline(sample()).find("is gptq4: 6.3× smaller, 2.2× faster, -0.5 points"),
            std::string::npos)
      << report::headline(sample());
  ReportData data = sample();
  for (VariantRow& row : data.variants) {
    if (!row.against_baseline.empty()) row.against_baseline[0].second.hi = -0.001;
  }
  EXPECT_NE(report::headline(data).find("No smaller variant"), std::string::npos);
}

TEST(Report, HoldsWithAlmostNothing) {
  ReportData data;
  EXPECT_TRUE(well_formed(report_html(data)));
  EXPECT_NO_THROW(report_terminal(data, 100));
  EXPECT_NO_THROW(report_markdown(data));
  data.variants.emplace_back();
  data.variants[0].name = "only";
  data.variants[0].measures = {{"gsm8k.strict", {NAN, {}, {}, 0, ""}},
                               {"perplexity.ppl", {INFINITY, {}, {}, 0, ""}}};
  data.series = {{"only", "loss", {}}, {"only", "norm", {{1, NAN}}}, {"only", "one", {{1, 2}}}};
  EXPECT_TRUE(well_formed(report_html(data)));
  EXPECT_NE(report_terminal(data, 100).find("only"), std::string::npos);
}

TEST(ReportFormat, TheCostLineLeavesOutWhatWasCached) {
  ReportData data;
  EXPECT_EQ(report::cost_line(data), "");
  data.costs = {{"a", "x", true, 5, 7, 900'000'000, 900'000'000}};
  EXPECT_EQ(report::cost_line(data), "");
  data.costs.push_back({"a", "y", false, 1, 2, 40'000'000, 50'000'000});
  data.costs.push_back({"b", "y", false, 2, 3, 60'000'000, 30'000'000});
  EXPECT_EQ(
      report::cost_line(data),
      "Predicted 3.00 s, took 5.00 s; predicted peak memory 60.0 MB, measured 50.0 MB. Stage by stage in "
      "the report.");
}

TEST(ReportFormat, NumbersForPeople) {
  EXPECT_EQ(report::human_bytes(0), "0 B");
  EXPECT_EQ(report::human_bytes(999), "999 B");
  EXPECT_EQ(report::human_bytes(2'010'000), "2.01 MB");
  EXPECT_EQ(report::human_bytes(999'900'000), "1.00 GB");
  EXPECT_EQ(report::human_seconds(0.1234), "0.123 s");
  EXPECT_EQ(report::human_seconds(200), "3 min 20 s");
  EXPECT_EQ(report::human_seconds(3900), "1 h 05 min");
  EXPECT_EQ(report::decimals(-0.04, 1), "0.0");
  EXPECT_EQ(report::significant(1234), "1234");
  EXPECT_EQ(report::significant(0.01234), "0.0123");
  EXPECT_EQ(report::p_value(0.0004), "p<0.001");
  EXPECT_EQ(report::cut("ääöüß", 3), "ää…");
  EXPECT_EQ(report::clean("a\x01\xC2\x85\xE2\x82z\xED\xA0\x80"), "a??z???");
}

TEST(ReportPlot, LabelsOfCrowdedPointsDoNotOverlap) {
  const report::Box plot{60, 16, 620, 350};
  std::vector<std::pair<double, double>> at;
  std::vector<std::string> labels;
  for (int i = 0; i < 10; ++i) {
    at.emplace_back(300 + 9 * i, 180 + 4 * (i % 3));
    labels.push_back("variant-" + std::to_string(i));
  }
  const auto placed = report::place_labels(plot, at, labels, {}, {});
  double overlap = 0;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    EXPECT_GE(placed[i].box.overlap(plot), 0.999 * placed[i].box.area()) << labels[i];
    for (std::size_t j = 0; j < i; ++j) overlap += placed[i].box.overlap(placed[j].box);
  }
  EXPECT_LT(overlap, 0.05 * 10 * placed[0].box.area());
}

TEST(ReportPlot, ABrokenOutlierDoesNotSqueezeTheOthers) {
  const report::Axis axis{"v", [](double v) { return report::decimals(v, 0); }, false};
  std::vector<report::PlotPoint> points(3);
  for (int i = 0; i < 3; ++i) {
    points[i].x = i;
    points[i].y = 80 + 2 * i;
    points[i].label = "p" + std::to_string(i);
  }
  points[0].y = 1;
  const auto svg = [&] { return report::scatter_svg(points, axis, axis, report::Better::left); };
  EXPECT_NE(svg().find(">20<"), std::string::npos);
  points[0].broken = true;
  EXPECT_EQ(svg().find(">20<"), std::string::npos);
  EXPECT_NE(svg().find("p0 ↓ 1"), std::string::npos);
}

TEST(ReportPlot, TicksAreRoundAndInside) {
  EXPECT_EQ(report::linear_ticks(0.3, 9.7, 5), (std::vector<double>{2, 4, 6, 8}));
  EXPECT_EQ(report::log_ticks(1.5, 90), (std::vector<double>{2, 5, 10, 20, 50}));
  EXPECT_GE(report::log_ticks(100, 130).size(), 3u);
}

}  // namespace
}  // namespace pare
