// pare run and pare plan: documented JSON, artefacts that load, and a cache that makes again only what
// changed.
#include "cli/program.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const std::string kRecipe =
    "model: sums-3m\n"
    "data: {eval: \"sums:test\"}\n"
    "variants:\n"
    "  baseline: []\n"
    "  nf4: [{quantize.nf4: {block: 64}}]\n"
    "  both: [{prune.magnitude: {store: dense}}, {quantize.rtn: {bits: 4, group: 64}}]\n"
    "measure:\n"
    "  - task.gsm8k: {limit: 4}\n"
    "  - perplexity: {limit: 4}\n"
    "  - divergence: {limit: 4}\n"
    "  - size\n"
    "objectives: {accuracy: max, size.disk_bytes: min}\n";

class Run : public ProgramTest {
 protected:
  Run() : recipe_(file("tiny.yaml", kRecipe)) {}
  Args command(const std::string& name, const Args& more = {}) const {
    Args args = {name, recipe_, "--json", "--threads", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  json run(const Args& more = {}) const {
    const Outcome o = pare(command("run", more));
    expect_done(o);
    return o.document();
  }
  /// "variant stage" of the rows of the plan that are not cached.
  std::vector<std::string> to_do(const Args& more = {}) const {
    std::vector<std::string> names;
    for (const json& row : pare(command("plan", more)).document())
      if (row["cached"] == false)
        names.push_back(row["variant"].get<std::string>() + " " + row["stage"].get<std::string>());
    return names;
  }
  fs::path recipe_;
};

void expect_number_or_null(const json& cell, const char* key) {
  ASSERT_TRUE(cell.contains(key)) << key << " in " << cell.dump();
  EXPECT_TRUE(cell[key].is_number() || cell[key].is_null()) << key;
}

TEST_F(Run, PrintsTheDocumentedShape) {
  const json j = run();
  EXPECT_EQ(j["recipe"], "tiny");
  EXPECT_EQ(j["run"].get<std::string>().size(), 12u);
  ASSERT_EQ(j["variants"].size(), 3u);
  for (const json& v : j["variants"]) {
    SCOPED_TRACE(v["name"]);
    EXPECT_TRUE(fs::is_regular_file(fs::path(v["artefact"].get<std::string>()) / "config.json"));
    EXPECT_EQ(v["artefact_hash"].get<std::string>().size(), 64u);
    EXPECT_GT(v["bytes"].get<i64>(), 0);
    EXPECT_TRUE(v["broken"].is_boolean());
    EXPECT_TRUE(v["pareto"].is_boolean());
    for (const char* name : {"gsm8k.strict",
                             "gsm8k.flexible",
                             "gsm8k.truncated",
                             "perplexity.ppl",
                             "divergence.kl",
                             "divergence.top1",
                             "size.disk_bytes"})
      EXPECT_TRUE(v["measures"].contains(name) || v["name"] == "baseline") << name;
    for (const auto& [name, m] : v["measures"].items()) {
      SCOPED_TRACE(name);
      for (const char* key : {"value", "lo", "hi"}) expect_number_or_null(m, key);
      EXPECT_TRUE(m["n"].is_number_integer());
      EXPECT_TRUE(m["unit"].is_string());
    }
    EXPECT_EQ(v["measures"]["gsm8k.strict"]["n"], 4);
    EXPECT_EQ(v["against_baseline"].empty(), v["name"] == "baseline");
    for (const auto& [name, c] : v["against_baseline"].items())
      for (const char* key : {"difference", "lo", "hi", "p"}) expect_number_or_null(c, key);
  }
  EXPECT_EQ(j["variants"][0]["name"], "baseline");
  // The artefact is a model by its folder, and by the beginning of its hash.
  const json& nf4 = j["variants"][1];
  const Outcome by_path = pare({"info", nf4["artefact"].get<std::string>(), "--json"});
  const Outcome by_hash = pare({"info", nf4["artefact_hash"].get<std::string>().substr(0, 10), "--json"});
  expect_done(by_path);
  EXPECT_EQ(by_path.out, by_hash.out);
  EXPECT_TRUE(by_path.document()["formats"].contains("nf4_b64")) << by_path.document()["formats"];
}

TEST_F(Run, ThePlanPrintsTheDocumentedShape) {
  const json j = pare(command("plan")).document();
  EXPECT_EQ(j.size(), 3u * 4u + 3u);
  for (const json& row : j) {
    for (const char* key : {"variant", "stage", "cached", "s", "peak_bytes", "disk_bytes"})
      EXPECT_TRUE(row.contains(key)) << key;
    EXPECT_EQ(row["cached"], false);
    EXPECT_GT(row["s"].get<double>(), 0);
  }
  EXPECT_FALSE(fs::exists(store() / "artefacts" / "00")) << "a plan makes nothing";
}

TEST_F(Run, ASecondRunIsAllCacheHitsAndSaysTheSame) {
  const Outcome first = pare(command("run"));
  expect_done(first);
  EXPECT_TRUE(to_do().empty());
  const Outcome second = pare(command("run"));
  expect_done(second);
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(second.err, "") << "something was made again";
  // Not another place nor another thread count makes another key.
  const Outcome third = pare({"run", recipe_, "--json", "--threads", "2"});
  EXPECT_EQ(third.out, first.out);
  EXPECT_EQ(third.err, "");
}

TEST_F(Run, AChangedOptionMakesAgainOnlyWhatDependsOnIt) {
  const json before = run();
  using Rows = std::vector<std::string>;
  const std::string bits = "variants.both.quantize.rtn.bits=3";
  EXPECT_EQ(to_do({"--set", bits}),
            (Rows{"both quantize.rtn",
                  "both measure:task.gsm8k",
                  "both measure:perplexity",
                  "both measure:divergence",
                  "both measure:size"}));
  EXPECT_EQ(to_do({"--set", "variants.nf4.0.double_quant=true"}).front(), "nf4 quantize.nf4");
  EXPECT_EQ(to_do({"--set", "variants.nf4.0.double_quant=true"}).size(), 5u);
  EXPECT_EQ(to_do({"--set", "variants.both.0.sparsity=0.4"}).size(), 6u);
  EXPECT_EQ(to_do({"--set", "measure.task.gsm8k.limit=3"}),
            (Rows{"baseline measure:task.gsm8k", "nf4 measure:task.gsm8k", "both measure:task.gsm8k"}));
  // Names, objectives and limits decide nothing.
  EXPECT_EQ(to_do({"--set", "name=other", "--set", "objectives={accuracy: max}", "--set", "limits.time_h=9"}),
            Rows{});
  EXPECT_EQ(to_do({"--set", "variants.third=[{quantize.nf4: {block: 64}}]"}), Rows{})
      << "another name, the same stages";
  // The plan is what happens.
  const Outcome o = pare(command("run", {"--set", bits}));
  expect_done(o);
  EXPECT_EQ(o.error_lines(), 5) << o.err;
  const json after = o.document();
  EXPECT_EQ(after["variants"][0]["artefact_hash"], before["variants"][0]["artefact_hash"]);
  EXPECT_EQ(after["variants"][1], before["variants"][1]);
  EXPECT_NE(after["variants"][2]["artefact_hash"], before["variants"][2]["artefact_hash"]);
  EXPECT_NE(after["run"], before["run"]);
}

TEST_F(Run, OnlyTakesTheBaselineAlong) {
  const json j = run({"--only", "nf4", "--set", "measure=[size]"});
  ASSERT_EQ(j["variants"].size(), 2u);
  EXPECT_EQ(j["variants"][0]["name"], "baseline");
  EXPECT_EQ(j["variants"][1]["name"], "nf4");
}

TEST_F(Run, TheTableNamesItsReportAndTheReportsNeedNothingElse) {
  const Outcome o = pare({"run",
                          recipe_,
                          "--set",
                          "measure=[{perplexity: {limit: 4}}, size]",
                          "--set",
                          "objectives={perplexity.ppl: min, size.disk_bytes: min}"});
  expect_done(o);
  for (const char* word : {"baseline", "nf4", "both", "★", "report: "})
    EXPECT_NE(o.out.find(word), std::string::npos) << word;
  const fs::path html = o.out.substr(o.out.rfind("report: ") + 8, o.out.size() - o.out.rfind("report: ") - 9);
  const std::string text = read_file(html);
  EXPECT_NE(text.find("<svg"), std::string::npos);
  for (const char* outside : {"src=\"http", "href=\"http", "@import"})
    EXPECT_EQ(text.find(outside), std::string::npos) << outside;
  for (const char* name : {"report.md", "report.json"})
    EXPECT_TRUE(fs::exists(html.parent_path() / name)) << name;
}

TEST_F(Run, WhatDoesNotFitIsRefusedBeforeAnythingStarts) {
  expect_refused(
      pare(command("run", {"--set", "limits.memory_gb=0.001"})), 2, "limits.memory_gb is 0.001; raise it");
  expect_refused(pare(command("run", {"--set", "limits.disk_gb=0.000001"})), 2, "limits.disk_gb is");
  expect_refused(pare(command("run", {"--set", "limits.time_h=0.0000001"})), 2, "limits.time_h is");
  EXPECT_EQ(pare({"runs", "--json"}).document(), json::array());
  EXPECT_EQ(to_do().size(), 15u);
}

TEST_F(Run, AGgufFileGivesTheAnswersOfItsFolder) {
  const json of_folder = run();
  const fs::path gguf = root_ / "m.gguf";
  expect_done(pare({"convert", "sums-3m", gguf, "--to", "gguf"}));
  const Args model = {"--set", "model=" + gguf.string()};
  const json of_file = run(model);
  EXPECT_EQ(of_file["variants"][0]["artefact"], gguf.string());
  ASSERT_EQ(of_file["variants"].size(), of_folder["variants"].size());
  for (std::size_t i = 0; i < of_file["variants"].size(); ++i) {
    const json &a = of_folder["variants"][i]["measures"], &b = of_file["variants"][i]["measures"];
    for (const char* name : {"gsm8k.strict", "perplexity.ppl", "divergence.kl", "size.weight_bytes"})
      EXPECT_EQ(a.value(name, json()), b.value(name, json())) << i << " " << name;
  }
  EXPECT_EQ(to_do(model), std::vector<std::string>());
  // An artefact stands on its own, without the file.
  fs::remove(gguf);
  const std::string artefact = of_file["variants"][1]["artefact"];
  EXPECT_TRUE(fs::exists(fs::path(artefact) / "tokenizer.json"));
  const json score = pare({"eval", artefact, "--task", "gsm8k", "--limit", "4", "--json"}).document();
  EXPECT_EQ(score["strict"]["value"], of_file["variants"][1]["measures"]["gsm8k.strict"]["value"]);
}

TEST_F(Run, ABlockFileIsRefusedByTheNameOfItsFormat) {
  expect_done(pare({"convert", "sums-3m", root_ / "q.gguf", "--to", "gguf", "--type", "q4_0"}));
  for (const char* name : {"run", "plan"})
    expect_refused(pare(command(name, {"--set", "model=" + (root_ / "q.gguf").string()})),
                   2,
                   "is packed already (Q4_0); compress the model it was made from");
  EXPECT_FALSE(fs::exists(runs_db()));
}

}  // namespace
}  // namespace pare
