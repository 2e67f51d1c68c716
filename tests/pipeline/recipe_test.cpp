// Recipes: what may be written, what `--set` reaches, and the exact words for what is wrong.
#include "pipeline/recipe.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const std::string kRecipe = R"(name: demo
model: some-model
data: {eval: "sums:test"}
variants:
  baseline: []
  nf4: [{quantize.nf4: {double_quant: true}}]
  both:
    - prune.magnitude
    - stage: quantize.rtn
      args: {bits: 3}
measure:
  - size
objectives: {size.disk_bytes: min}
)";

Recipe read(const std::string& text, const std::vector<std::string>& set = {}) {
  return parse_recipe(text, "r.yaml", set);
}
std::string message(const std::string& text, const std::vector<std::string>& set = {}) {
  try {
    read(text, set);
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user) << e.what();
    return e.what();
  }
  return "";
}
std::string with(const std::string& from, const std::string& to) {
  std::string text = kRecipe;
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(Recipe, EveryWayToWriteAStageMeansTheSame) {
  const Recipe r = read(kRecipe);
  ASSERT_EQ(r.variants.size(), 3u);
  EXPECT_TRUE(r.variants[0].stages.empty());
  EXPECT_EQ(r.variants[1].stages[0].options["double_quant"], true);
  EXPECT_EQ(r.variants[2].stages[0].stage, "prune.magnitude");
  EXPECT_EQ(r.variants[2].stages[0].options["sparsity"], 0.5);
  EXPECT_EQ(r.variants[2].stages[1].options["bits"], 3);
  EXPECT_EQ(r.objectives[0].name, "size.disk_bytes");
  EXPECT_FALSE(r.objectives[0].maximise);
  const Recipe p = read("model: m\npipeline: [quantize.int8]\n");
  EXPECT_EQ(p.name, "r");
  EXPECT_EQ(p.variants[0].stages[0].stage, "quantize.int8");
  const Recipe l = read(with("{size.disk_bytes: min}", "[{name: size.disk_bytes, direction: max}]"));
  EXPECT_TRUE(l.objectives[0].maximise);
}

TEST(Recipe, SetReachesEveryValue) {
  EXPECT_EQ(read(kRecipe, {"model=other"}).model, "other");
  EXPECT_EQ(read(kRecipe, {"seed=7", "compute=fast"}).seed, 7u);
  EXPECT_EQ(read(kRecipe, {"data.calib=sums:train"}).data.at("calib"), "sums:train");
  EXPECT_EQ(read(kRecipe, {"variants.nf4.quantize.nf4.block=128"}).variants[1].stages[0].options["block"],
            "128");
  EXPECT_EQ(
      read(kRecipe, {"variants.nf4.0.double_quant=false"}).variants[1].stages[0].options["double_quant"],
      false);
  EXPECT_EQ(read(kRecipe, {"variants.both.1.args.bits=5"}).variants[2].stages[1].options["bits"], 5);
  EXPECT_EQ(read(kRecipe, {"variants.new=[quantize.int8]"}).variants[3].stages[0].stage, "quantize.int8");
  EXPECT_EQ(read(kRecipe, {"measure.size.x=1"}).measures[0].options["x"], 1);
  EXPECT_TRUE(read(kRecipe, {"objectives.size.disk_bytes=max"}).objectives[0].maximise);
  EXPECT_EQ(read(kRecipe, {"limits.memory_gb=2.5"}).limits.memory_gb, 2.5);
  EXPECT_EQ(read(kRecipe, {"decode.temperature=0.5"}).decode["temperature"], 0.5);
  EXPECT_EQ(read(kRecipe, {"measure.task.gsm8k.limit=50"}).measures[1].name, "task.gsm8k");
}

TEST(Recipe, SetTakesStageNamesWithTheirDotsWhereverAnEntryIsNamed) {
  const std::string text =
      "variants:\n  sums-3m: [train.scratch]\n  m: [train.scratch, {quantize.nf4: {block: 64}}]\n";
  const auto steps = [&](const std::string& path) {
    return read(text, {path + "=5"}).variants[0].stages[0].options["steps"];
  };
  EXPECT_EQ(steps("variants.sums-3m.0.train.scratch.steps"), 5);
  EXPECT_EQ(steps("variants.sums-3m.train.scratch.steps"), 5);
  EXPECT_EQ(steps("variants.sums-3m.0.train.scratch.args.steps"), 5);
  EXPECT_EQ(steps("variants.sums-3m.0.args.steps"), 5);
  EXPECT_EQ(steps("variants.sums-3m.0.steps"), 5);
  const Recipe r = read(text, {"variants.m.1.quantize.nf4.block=128", "variants.m.0.train.scratch.lr=0.5"});
  EXPECT_EQ(r.variants[1].stages[1].options["block"], "128");
  EXPECT_EQ(r.variants[1].stages[0].options["lr"], 0.5);
  EXPECT_EQ(r.variants[0].stages[0].options["lr"], 3e-3);
  EXPECT_EQ(
      read(text, {"variants.sums-3m.0.train.scratch={steps: 7}"}).variants[0].stages[0].options["steps"], 7);
}

TEST(Recipe, ANameForSeveralStagesIsReplacedByThemAndSetReachesItsOwnOptions) {
  const std::string text = "model: m\npipeline: [{compress.best: {bits: 3, tokens: 500}}]\n";
  const std::vector<StageUse> two = read(text).variants[0].stages;
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].stage, "quantize.gptq");
  EXPECT_EQ(two[1].stage, "quantize.learned");
  for (const StageUse& use : two) {
    EXPECT_EQ(use.options["bits"], 3);
    EXPECT_EQ(use.options["tokens"], 500);
  }
  const std::vector<StageUse> one = read(text, {"pipeline.compress.best.iterations=0"}).variants[0].stages;
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].options, two[0].options);
}

TEST(Recipe, MistakesHaveTheirLineAndTheNearestName) {
  EXPECT_EQ(message(with("variants:", "varients:")),
            "r.yaml:4: a recipe has no key \"varients\"; did you mean \"variants\"?");
  EXPECT_EQ(message(with("double_quant", "duoble_quant")),
            "r.yaml:6: quantize.nf4 has no option \"duoble_quant\"; did you mean \"double_quant\"?");
  EXPECT_EQ(message(with("{bits: 3}", "{bits: 1}")), "r.yaml:10: quantize.rtn.bits is 1, expected 2 to 8");
  EXPECT_EQ(message(with("{bits: 3}", "{bits: three}")),
            "r.yaml:10: quantize.rtn.bits is \"three\", expected a whole number: 2 to 8");
  EXPECT_EQ(message(with("prune.magnitude", "prune.magnitud")),
            "r.yaml:8: there is no stage \"prune.magnitud\"; did you mean \"prune.magnitude\"?");
  EXPECT_EQ(message(with("- size", "- sise")),
            "r.yaml:12: there is no measure \"sise\"; did you mean \"size\"?");
  EXPECT_EQ(message(with(": min}", ": less}")),
            "r.yaml:13: the direction of size.disk_bytes is \"less\", expected max or min");
  EXPECT_EQ(message(with("model: some-model", "model: 3")), "r.yaml:2: model is 3, expected a text");
  EXPECT_EQ(message(with("name: demo", "name: demo\nname: again")),
            "r.yaml:2: the key \"name\" is given twice");
  EXPECT_EQ(message(with("model: some-model\n", "")),
            "r.yaml: the variant baseline starts from a model, and the recipe names none; add `model: …`");
  EXPECT_EQ(message("model: m\n"),
            "r.yaml: no variants; add `variants: {baseline: [], nf4: [quantize.nf4]}` or `pipeline: […]`");
  EXPECT_EQ(message(kRecipe + "limits: {memory_g: 3}\n"),
            "r.yaml:14: limits has no key \"memory_g\"; did you mean \"memory_gb\"?");
}

TEST(Recipe, MistakesInSetNameTheAssignment) {
  EXPECT_EQ(message(kRecipe, {"variants.nf4.0.blok=64"}),
            "--set variants.nf4.0.blok=64: quantize.nf4 has no option \"blok\"; did you mean \"block\"?");
  EXPECT_EQ(message(kRecipe, {"variants.nf4.quantize.rtn.bits=4"}),
            "--set variants.nf4.quantize.rtn.bits=4: \"variants.nf4\" has no entry \"quantize.rtn\"; did you "
            "mean \"quantize.nf4\"?");
  EXPECT_EQ(message(kRecipe, {"variants.both.2.bits=4"}),
            "--set variants.both.2.bits=4: \"variants.both\" has 2 entries, so there is no number 2");
  EXPECT_EQ(message(kRecipe, {"seed"}),
            "--set seed: expected path=value, such as seed=1 or variants.nf4.quantize.nf4.block=128");
  EXPECT_EQ(
      message(kRecipe, {"variants.nf4.0.quantize.nf5.block=64"}),
      "--set variants.nf4.0.quantize.nf5.block=64: \"variants.nf4.0\" is quantize.nf4, not \"quantize.nf5\"; "
      "did you mean \"variants.nf4.0.quantize.nf4.block\"?");
  EXPECT_EQ(message(kRecipe, {"variants.nf4.0.quantize.nf4.blok=64"}),
            "--set variants.nf4.0.quantize.nf4.blok=64: quantize.nf4 has no option \"blok\"; did you mean "
            "\"block\"?");
  EXPECT_EQ(
      message(kRecipe, {"variants.both.prune.magnitud.sparsity=0.4"}),
      "--set variants.both.prune.magnitud.sparsity=0.4: \"variants.both\" has no entry \"prune.magnitud\"; "
      "did you mean \"prune.magnitude\"?");
  EXPECT_EQ(message(kRecipe, {"variants.nf5.0.block=64"}),
            "--set variants.nf5.0.block=64: \"variants\" has no \"nf5\"; did you mean \"nf4\"?");
  EXPECT_EQ(message(kRecipe, {"measure.gsm8k.limit=5"}),
            "--set measure.gsm8k.limit=5: there is no measure \"gsm8k\"; did you mean \"task.gsm8k\"?");
  EXPECT_EQ(message(kRecipe, {"modle=x"}),
            "--set modle=x: a recipe has no key \"modle\"; did you mean \"model\"?");
  EXPECT_EQ(message(kRecipe, {"seed=1\nmodel: x"}), "--set seed=1\nmodel: x: expected one value after the =");
  EXPECT_EQ(message(kRecipe, {"seed=[1"}), "--set seed=[1: not YAML: end of sequence flow not found");
  EXPECT_EQ(message(kRecipe, {"model.x=1"}),
            "--set model.x=1: \"model\" is \"some-model\", so it has no \"x\"");
}

TEST(Recipe, HostileTextsAreRefusedQuickly) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += before + (k < 9 ? ", " : "]\n");
  }
  EXPECT_NE(message(bomb).find("more than 100000 values"), std::string::npos);
  EXPECT_NE(message("a: " + std::string(100000, '[')).find("nested more than 64 deep"), std::string::npos);
  std::string dashes = "a:\n  ";
  for (int i = 0; i < 50000; ++i) dashes += "- ";
  EXPECT_NE(message(dashes).find("nested more than 64 deep"), std::string::npos);
  std::string indented;
  for (int i = 0; i < 300; ++i) indented += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
  EXPECT_NE(message(indented).find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(message(std::string(1'100'000, '#')).find("more than the 1000000"), std::string::npos);
  EXPECT_NE(message("a: &a [*a]"), "");
  EXPECT_NE(message("[1, 2"), "");
  EXPECT_NE(message("just text"), "");
  EXPECT_NE(message(""), "");
  EXPECT_NE(message("? [a, b]\n: c\n"), "");
}

TEST(Recipe, PerModelChangesMeasuresOfModelsItNames) {
  const std::string more =
      "per_model:\n  some-model: {decode: {max_new_tokens: 9}}\n  \"<1e6\": {measure: {size: false}}\n";
  Recipe small = read(kRecipe + more), large = small;
  apply_per_model(small, 1000);
  apply_per_model(large, 2'000'000);
  EXPECT_TRUE(small.measures.empty());
  EXPECT_EQ(large.measures.size(), 1u);
  EXPECT_EQ(large.decode["max_new_tokens"], 9);
}

TEST(Recipe, EveryShippedOneReadsAndBeginsWithFourCommentLines) {
  i64 n = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(PARE_SOURCE) / "recipes")) {
    if (entry.path().extension() != ".yaml") continue;
    const Recipe r = read_recipe(entry.path());
    EXPECT_EQ(r.name, entry.path().stem().string());
    const std::string text = read_file(entry.path());
    std::size_t at = 0;
    for (int line = 0; line < 4; ++line, at = text.find('\n', at) + 1)
      EXPECT_EQ(text[at], '#') << entry.path();
    ++n;
  }
  EXPECT_GE(n, 5);
}

}  // namespace
}  // namespace pare
