// A run from recipe to report on a tiny model: resumable, cached, recorded, and refused when it does not fit.
#include "pipeline/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/signals.h"
#include "model/forward.h"
#include "model/gguf_export.h"
#include "model/load.h"
#include "pipeline/judge.h"
#include "store/store.h"
#include "track/runs.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class RunTest : public ::testing::Test {
 protected:
  RunTest() : root_(temporary_beside(fs::temp_directory_path() / "run")) {
    fs::create_directories(root_);
    ::setenv("PARE_DATA_HOME", (root_ / "data").c_str(), 1);
    write_file_atomic(
        recipe(),
        "model: " + (fs::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded").string() +
            "\nvariants:\n  nf4: [quantize.nf4]\n  baseline: []\n  rtn8: [{quantize.rtn: {bits: 8}}]\n"
            "  both: [{prune.magnitude: {store: dense}}, quantize.int8]\n"
            "measure: [size]\nobjectives: {size.disk_bytes: min}\n");
    options_.store = root_ / "store";
  }
  ~RunTest() override {
    clear_stop();
    ::unsetenv("PARE_DATA_HOME");
    fs::remove_all(root_);
  }
  fs::path recipe() const { return root_ / "tiny.yaml"; }
  std::string refusal() {
    try {
      run_recipe(recipe(), options_);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      return e.what();
    }
    return "";
  }
  fs::path root_;
  RunOptions options_;
};

const MetricCell& cell(const VariantRow& row, const std::string& name) {
  for (const auto& [key, value] : row.measures)
    if (key == name) return value;
  throw bug("{} lacks {}", row.name, name);
}

TEST_F(RunTest, MakesMeasuresJudgesAndRecordsEveryVariant) {
  const ReportData data = run_recipe(recipe(), options_);
  ASSERT_EQ(data.variants.size(), 4u);
  EXPECT_EQ(data.run.size(), 12u);
  EXPECT_EQ(data.variants[0].name, "baseline");
  for (const VariantRow& v : data.variants) {
    EXPECT_EQ(v.artefact_hash.size(), 64u);
    EXPECT_EQ(cell(v, "size.disk_bytes").value, static_cast<double>(v.bytes));
    EXPECT_EQ(v.pareto, v.name == "nf4") << v.name;
  }
  const double before = cell(data.variants[0], "size.weight_bytes").value;
  EXPECT_LT(cell(data.variants[1], "size.weight_bytes").value, before);
  for (const char* file : {"report.md", "report.html", "report.json"})
    EXPECT_TRUE(fs::exists(report_folder(data.run) / file)) << file;
  const RunsDb db;
  EXPECT_EQ(db.run(data.run)->status, "finished");
  EXPECT_EQ(db.variants(data.run).size(), 4u);
  EXPECT_EQ(db.stages(data.run).size(), 8u);
  EXPECT_EQ(db.metrics(data.run).size(), 8u);
}

TEST_F(RunTest, ASecondRunOnlyReads) {
  const ReportData first = run_recipe(recipe(), options_);
  for (const PlanRow& row : plan_recipe(recipe(), options_)) {
    EXPECT_TRUE(row.cached) << row.variant << " " << row.stage;
    EXPECT_EQ(row.s, 0);
  }
  const ReportData second = run_recipe(recipe(), options_);
  EXPECT_EQ(second.run, first.run);
  EXPECT_EQ(report_json(second), report_json(first));
  for (const StageCost& c : second.costs) EXPECT_TRUE(c.cached) << c.stage;
}

TEST_F(RunTest, ThePlanHasARowForEachStageAndMeasureAndSharesPrefixes) {
  const std::vector<PlanRow> plan = plan_recipe(recipe(), options_);
  std::vector<std::string> names;
  for (const PlanRow& row : plan) {
    names.push_back(row.variant + " " + row.stage);
    EXPECT_FALSE(row.cached);
    EXPECT_GT(row.s, 0) << row.stage;
    EXPECT_GT(row.peak_bytes, 0) << row.stage;
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"baseline measure:size",
                                      "nf4 quantize.nf4",
                                      "nf4 measure:size",
                                      "rtn8 quantize.rtn",
                                      "rtn8 measure:size",
                                      "both prune.magnitude",
                                      "both quantize.int8",
                                      "both measure:size"}));
  options_.only = {"both"};
  EXPECT_EQ(plan_recipe(recipe(), options_).size(), 4u);
  run_recipe(recipe(), options_);
  options_.only = {};
  i64 cached = 0;
  for (const PlanRow& row : plan_recipe(recipe(), options_)) cached += row.cached;
  EXPECT_EQ(cached, 4);
  EXPECT_EQ(plan_json(plan)[1]["stage"], "quantize.nf4");
}

TEST_F(RunTest, PredictedSizesAreThoseOfTheArtefacts) {
  const std::vector<PlanRow> plan = plan_recipe(recipe(), options_);
  const ReportData data = run_recipe(recipe(), options_);
  for (const VariantRow& v : data.variants)
    for (const PlanRow& row : plan)
      if (row.variant == v.name && (row.stage == "quantize.nf4" || row.stage == "quantize.rtn"))
        EXPECT_NEAR(static_cast<double>(row.disk_bytes),
                    static_cast<double>(v.bytes),
                    0.15 * static_cast<double>(v.bytes) + 8000)
            << row.stage;
}

TEST_F(RunTest, WhatDoesNotFitIsRefusedBeforeAnythingStarts) {
  options_.set = {"limits.memory_gb=0.001"};
  EXPECT_NE(refusal().find("of memory, limits.memory_gb is 0.001"), std::string::npos);
  options_.set = {"limits.disk_gb=0.000001"};
  EXPECT_NE(refusal().find("of disk, limits.disk_gb is"), std::string::npos);
  options_.set = {"limits.time_h=0.0000001"};
  EXPECT_NE(refusal().find("limits.time_h is"), std::string::npos);
  EXPECT_TRUE(RunsDb().runs().empty());
  options_.set = {};
  options_.only = {"nf5"};
  EXPECT_NE(refusal().find("did you mean \"nf4\"?"), std::string::npos);
}

TEST_F(RunTest, AStoppedRunIsRecordedAndGoesOn) {
  request_stop(2);
  EXPECT_THROW(run_recipe(recipe(), options_), Error);
  const auto runs = RunsDb().runs();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].status, "failed");
  clear_stop();
  EXPECT_EQ(run_recipe(recipe(), options_).run, runs[0].id);
  EXPECT_EQ(RunsDb().run(runs[0].id)->status, "finished");
}

TEST_F(RunTest, LogitsOfAnArtefactDifferOnlyByItsQuantisation) {
  const ReportData data = run_recipe(recipe(), options_);
  const std::vector<i32> ids = {1, 5, 9, 2, 7, 3, 8, 4};
  const auto logits = [&](const VariantRow& v) {
    const Model m = load_model(v.artefact);
    Acts acts;
    forward(m, pack_sequences({ids}), acts);
    Tensor out = Tensor::empty({acts.out.dim(0), m.config.V});
    head(m, acts.out, out);
    return out;
  };
  const Tensor base = logits(data.variants[0]);
  double power = 0;
  for (i64 i = 0; i < base.count(); ++i) power += base.f32()[i] * base.f32()[i];
  for (const VariantRow& v : data.variants) {
    const Tensor t = logits(v);
    ASSERT_EQ(t.count(), base.count());
    double error = 0;
    for (i64 i = 0; i < t.count(); ++i) error += std::pow(t.f32()[i] - base.f32()[i], 2);
    const double relative = std::sqrt(error / power);
    if (v.name == "baseline") EXPECT_EQ(relative, 0);
    if (v.name == "rtn8") EXPECT_TRUE(relative > 0 && relative < 0.03) << relative;
    if (v.name == "nf4") EXPECT_TRUE(relative > 0.005 && relative < 0.4) << relative;
  }
}

TEST_F(RunTest, AGgufFileIsAModelLikeItsFolder) {
  const fs::path folder = fs::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded";
  const fs::path gguf = root_ / "m.gguf", moved = root_ / "moved.gguf", other = root_ / "other.gguf";
  export_gguf(load_model(folder), folder, {}, gguf);
  const ReportData of_folder = run_recipe(recipe(), options_);
  options_.set = {"model=" + gguf.string()};
  const std::vector<PlanRow> plan = plan_recipe(recipe(), options_);
  for (const PlanRow& row : plan) EXPECT_FALSE(row.cached) << row.stage;
  const ReportData of_file = run_recipe(recipe(), options_);
  ASSERT_EQ(of_file.variants.size(), of_folder.variants.size());
  EXPECT_EQ(of_file.variants[0].artefact, gguf.string());
  EXPECT_EQ(of_file.variants[0].artefact_hash, sha256_file(gguf));
  EXPECT_EQ(of_file.variants[0].bytes, static_cast<i64>(fs::file_size(gguf)));
  for (std::size_t i = 0; i < of_file.variants.size(); ++i) {
    const VariantRow &a = of_folder.variants[i], &b = of_file.variants[i];
    EXPECT_EQ(cell(a, "size.weight_bytes").value, cell(b, "size.weight_bytes").value) << a.name;
    EXPECT_EQ(cell(b, "size.disk_bytes").value, static_cast<double>(b.bytes)) << b.name;
    for (const PlanRow& row : plan)
      if (i > 0 && row.variant == b.name && row.stage.starts_with("quantize."))
        EXPECT_NEAR(static_cast<double>(row.disk_bytes),
                    static_cast<double>(b.bytes),
                    0.2 * static_cast<double>(b.bytes))
            << row.stage;
  }
  // The content is what counts, not the name.
  fs::copy_file(gguf, moved);
  options_.set = {"model=" + moved.string()};
  for (const PlanRow& row : plan_recipe(recipe(), options_)) EXPECT_TRUE(row.cached) << row.stage;
  export_gguf(load_model(folder), folder, gguf_scheme("f16"), other);
  options_.set = {"model=" + other.string()};
  for (const PlanRow& row : plan_recipe(recipe(), options_)) EXPECT_FALSE(row.cached) << row.stage;
}

TEST_F(RunTest, ABlockFileIsMeasuredButNotPackedAgain) {
  const fs::path folder = fs::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded";
  const fs::path gguf = root_ / "m.gguf";
  export_gguf(load_model(folder), folder, gguf_scheme("q8_0"), gguf);
  options_.set = {"model=" + gguf.string()};
  const std::string said = refusal();
  EXPECT_NE(said.find("is packed already (Q8_0)"), std::string::npos) << said;
  EXPECT_NE(said.find("pare convert " + gguf.string() + " FOLDER --to hf"), std::string::npos) << said;
  EXPECT_TRUE(RunsDb().runs().empty()) << "said before anything is made";
  write_file_atomic(root_ / "tiny.yaml", "model: x\nvariants: {baseline: []}\nmeasure: [size]\n");
  const ReportData data = run_recipe(recipe(), options_);
  EXPECT_EQ(cell(data.variants[0], "size.disk_bytes").value, static_cast<double>(fs::file_size(gguf)));
}

MetricValue answers(std::vector<double> samples) {
  MetricValue m;
  m.name = "task.strict";
  m.samples = std::move(samples);
  m.binary = true;
  for (const double x : m.samples) m.value += x / static_cast<double>(m.samples.size());
  return m;
}

TEST(Judge, RightAndWrongAnswersAreComparedByMcNemar) {
  std::vector<double> a(40, 1), b(40, 1);
  for (std::size_t i = 0; i < 10; ++i) b[i] = 0;
  const auto cell = paired_difference(answers(a), answers(b));
  ASSERT_TRUE(cell);
  EXPECT_DOUBLE_EQ(cell->difference, -0.25);
  EXPECT_NEAR(*cell->p, 2 * std::pow(0.5, 10), 1e-12);
  EXPECT_LT(*cell->hi, 0);
  EXPECT_EQ(*paired_difference(answers(a), answers(a))->p, 1);
  EXPECT_FALSE(paired_difference(answers(a), answers({1, 0})));
}

TEST(Judge, ADifferenceInsideTheNoiseKeepsBothOnTheFront) {
  std::vector<double> a(40, 1), b(40, 1);
  a[0] = 0, b[1] = 0, b[2] = 0;
  std::vector<Measured> all = {
      {"baseline", {answers(a)}, false}, {"x", {answers(b)}, false}, {"y", {answers(a)}, true}};
  std::vector<VariantRow> rows(3);
  std::vector<std::string> notes;
  judge(all, {{"accuracy", true}, {"nothing", false}}, rows, notes);
  EXPECT_TRUE(rows[0].pareto && rows[1].pareto);
  EXPECT_FALSE(rows[2].pareto);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "nothing measured the objective nothing; the front leaves it out");
  EXPECT_EQ(rows[1].against_baseline[0].first, "task.strict");
}

}  // namespace
}  // namespace pare
