// Bad recipes, given to the program: one line with file, line, what was found, what is expected; quickly, in
// little memory, and before anything is made or recorded.
#include "cli/program.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const std::string kGood =
    "model: sums-3m\n"
    "variants:\n"
    "  baseline: []\n"
    "  nf4: [{quantize.nf4: {block: 64}}]\n"
    "measure: [size]\n";

class BadRecipe : public ProgramTest {
 protected:
  /// Both commands refuse it with the same words and leave no trace.
  void expect_both_refuse(const std::string& text, const std::string& word) {
    SCOPED_TRACE(word);
    const fs::path recipe = file("r.yaml", text);
    const Outcome ran = pare({"run", recipe}), planned = pare({"plan", recipe, "--json"});
    expect_refused(ran, 2, word);
    EXPECT_EQ(ran.err, planned.err);
    EXPECT_LT(ran.peak_bytes, 150'000'000);
    EXPECT_FALSE(fs::exists(runs_db())) << "a run was recorded";
  }
  std::string with(const std::string& from, const std::string& to) {
    std::string text = kGood;
    text.replace(text.find(from), from.size(), to);
    return text;
  }
};

TEST_F(BadRecipe, KeysAndValues) {
  expect_both_refuse(with("variants:", "varients:"),
                     "r.yaml:2: a recipe has no key \"varients\"; did you mean");
  expect_both_refuse(with("block", "blok"),
                     "r.yaml:4: quantize.nf4 has no option \"blok\"; did you mean \"block\"?");
  expect_both_refuse(with("block: 64", "block: [1]"), "r.yaml:4: quantize.nf4.block is [1], expected");
  expect_both_refuse(with("block: 64", "block: 65"), "r.yaml:4: quantize.nf4.block is \"65\", expected");
  expect_both_refuse(with("quantize.nf4", "quantise.nf4"),
                     "there is no stage \"quantise.nf4\"; did you mean");
  expect_both_refuse(with("[size]", "[sise]"), "there is no measure \"sise\"; did you mean \"size\"?");
  expect_both_refuse(with("[size]", "{task.gsm8k: 3}"), "the options of task.gsm8k are 3, expected a map");
  expect_both_refuse(with("model: sums-3m", "model: sums-4m"), "did you mean \"sums-3m\"?");
  expect_both_refuse(with("model: sums-3m", "model: [x]"), "r.yaml:1: model is [\"x\"], expected a text");
  expect_both_refuse(with("baseline: []", "nf4: []"), "the key \"nf4\" is given twice");
  expect_both_refuse(kGood + "data: {eval: none.jsonl}\n", "none.jsonl");
  expect_both_refuse(kGood + "data: {eval: \"sums:tets\"}\n", "sums:tets");
  expect_both_refuse(kGood + "seed: -1\n", "seed is -1, expected a whole number from 0 on");
  expect_both_refuse(kGood + "compute: slow\n", "compute is \"slow\", expected exact or fast");
}

TEST_F(BadRecipe, OptionsOfMeasuresAreCheckedBeforeAnythingRuns) {
  expect_both_refuse(with("[size]", "[{task.gsm8k: {limmit: 3}}]"), "did you mean \"limit\"?");
  expect_both_refuse(with("[size]", "[{task.gsm8k: {limit: three}}]"), "limit");
}

TEST_F(BadRecipe, TextsThatAreNoRecipe) {
  expect_both_refuse("", "expected a map of keys");
  expect_both_refuse("just words\n", "expected a map of keys");
  expect_both_refuse("- a\n- b\n", "expected a map of keys");
  expect_both_refuse("model: [1, 2\n", "not YAML");
  expect_both_refuse("model: \"x\nvariants: 3\n", "not YAML");
  expect_both_refuse("model:\tx\n\t- y\n", "not YAML");
  expect_both_refuse(std::string("model: \xff\xfe\nvariants: {a: []}\n"), "UTF-8");
  expect_both_refuse(std::string("model: a\0b\n", 11), "r.yaml");
  expect_both_refuse(
      "\x7f"
      "ELF\x02\x01\x01",
      "r.yaml");
  expect_both_refuse("? {a: b}\n: c\n", "r.yaml");
  expect_both_refuse("model: *nowhere\n", "not YAML");
  expect_both_refuse("model: !!binary x\nvariants: {a: [!!foo quantize.nf5]}\n", "quantize.nf5");
}

TEST_F(BadRecipe, BombsAndGiants) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += fmt::format("a{0}: &a{0} [", i);
    for (int k = 0; k < 10; ++k) bomb += fmt::format("*a{}{}", i - 1, k < 9 ? ", " : "]\n");
  }
  expect_both_refuse(bomb, "more than 100000 values");
  std::string maps = "a0: &a0 {k: v}\n";
  for (int i = 1; i < 30; ++i) maps += fmt::format("a{0}: &a{0} {{x: *a{1}, y: *a{1}}}\n", i, i - 1);
  expect_both_refuse(maps, "more than 100000 values");
  expect_both_refuse("a: &a [*a]\n", "r.yaml");
  expect_both_refuse("a: " + std::string(200'000, '['), "nested more than 64 deep");
  expect_both_refuse("a: " + std::string(200'000, '{'), "nested more than 64 deep");
  std::string dashes = "a:\n  ";
  for (int i = 0; i < 200'000; ++i) dashes += "- ";
  expect_both_refuse(dashes, "nested more than 64 deep");
  expect_both_refuse("model: " + std::string(900'000, 'x') + "\nvariants: {a: []}\n", "begins so");
  expect_both_refuse("model: x # " + std::string(2'000'000, 'x') + "\n", "more than the 1000000");
  std::string many = "variants:\n";
  for (int i = 0; i < 60'000; ++i) many += fmt::format("  v{}: []\n", i);
  expect_both_refuse(many, "r.yaml");
}

TEST_F(BadRecipe, PlacesThatHoldNone) {
  expect_refused(pare({"run", root_}), 2, "found a folder, expected a recipe file");
  expect_refused(pare({"run", root_ / "none.yaml"}), 2, "no recipe found");
  expect_refused(pare({"run", "/dev/null"}), 2, "/dev/null");
  expect_refused(pare({"run", "/dev/zero"}), 2, "/dev/zero");
  expect_refused(pare({"run", ""}), 2, "RECIPE: found nothing");
}

TEST_F(BadRecipe, AssignmentsThatLeadNowhere) {
  const fs::path recipe = file("r.yaml", kGood);
  const auto set = [&](const std::string& assignment) { return pare({"run", recipe, "--set", assignment}); };
  expect_refused(set("variants.nf4.0.quantize.nf4.blok=3"), 2, "did you mean \"block\"?");
  expect_refused(
      set("variants.nf4.0.quantize.nf5.block=3"), 2, "did you mean \"variants.nf4.0.quantize.nf4.block\"?");
  expect_refused(set("variants.nf5.0.block=64"), 2, "did you mean \"nf4\"?");
  expect_refused(set("seed"), 2, "expected path=value");
  expect_refused(set("=1"), 2, "expected path=value");
  expect_refused(set("seed=[" + std::string(5000, '[')), 2, "nested more than 64 deep");
  expect_refused(pare({"run", recipe, "--only", "nf"}), 2, "did you mean \"nf4\"?");
  // The value of --set is one word: what follows may be the recipe.
  expect_done(pare({"plan", "--set", "seed=1", recipe}));
}

}  // namespace
}  // namespace pare
