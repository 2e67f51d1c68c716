// The shipped recipe `compression`, every method of it, on a model of each family: each variant is made,
// loads, runs from its packed form and stays near the model it came from as far as its width allows.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "pipeline/recipe.h"
#include "pipeline/run.h"
#include "stages/stage.h"
#include "text/bpe_trainer.h"
#include "text/sums.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class CompressionRecipe : public testing::TestWithParam<const char*> {
 protected:
  CompressionRecipe() : root_(temporary_beside(fs::temp_directory_path() / "compression")) {
    fs::create_directories(root_);
    ::setenv("PARE_DATA_HOME", (root_ / "data").c_str(), 1);
  }
  ~CompressionRecipe() override {
    ::unsetenv("PARE_DATA_HOME");
    fs::remove_all(root_);
  }

  /// A fixture with a tokenizer that fits its vocabulary of 320, and a text to calibrate with.
  fs::path model() const {
    const fs::path dir = root_ / "model";
    fs::copy(fs::path(PARE_TEST_DATA) / "models" / GetParam(), dir, fs::copy_options::recursive);
    std::string text;
    std::vector<std::string> texts;
    for (const Problem& p : make_sums(400, 1, Split::train)) texts.push_back(p.question + "\n" + p.answer);
    for (const std::string& t : texts) text += t + "\n\n";
    write_file_atomic(dir / "tokenizer.json", train_bpe(texts, {.vocab_size = 320}).dump());
    write_file_atomic(root_ / "text.txt", text);
    write_file_atomic(root_ / "judged.txt", text.substr(0, 4000));
    return dir;
  }
  fs::path root_;
};

constexpr const char* kRecipe = PARE_SOURCE "/recipes/compression.yaml";

/// Few tokens and steps, so that thirty variants take seconds.
std::vector<std::string> small() {
  std::vector<std::string> set;
  for (const auto& variant : YAML::LoadFile(kRecipe)["variants"])
    for (std::size_t i = 0; i < variant.second.size(); ++i) {
      const YAML::Node entry = variant.second[i];
      const auto stage = entry.IsMap() ? entry.begin()->first.as<std::string>() : entry.as<std::string>();
      for (const OptionHelp& option : find_stage(stage).options)
        for (const auto& [name, value] :
             {std::pair("tokens", 1024), {"iterations", 8}, {"probe", 128}, {"length", 128}})
          if (option.name == name)
            set.push_back(
                fmt::format("variants.{}.{}.{}={}", variant.first.as<std::string>(), i, name, value));
    }
  return set;
}

TEST_P(CompressionRecipe, makes_every_variant) {
  RunOptions options;
  options.store = root_ / "store";
  options.yes = true;
  const std::string text = (root_ / "text.txt").string();
  options.set = {"model=" + model().string(),
                 "data.calib=" + text,
                 "data.eval=" + (root_ / "judged.txt").string(),
                 "measure=[divergence, size]",
                 "objectives={divergence.kl: min, size.disk_bytes: min}"};
  for (const std::string& s : small()) options.set.push_back(s);
  const Recipe recipe = read_recipe(kRecipe, options.set);
  const ReportData data = run_recipe(kRecipe, options);
  ASSERT_EQ(data.variants.size(), recipe.variants.size());
  std::map<std::string, double> kl, bytes;
  for (const VariantRow& row : data.variants) {
    bytes[row.name] = static_cast<double>(row.bytes);
    for (const auto& [name, cell] : row.measures)
      if (name == "divergence.kl") kl[row.name] = cell.value;
    EXPECT_TRUE(std::isfinite(kl[row.name])) << row.name;
  }
  EXPECT_LT(kl["int8"], 0.2 * kl["rtn4"]);
  for (const auto& [better, worse] :
       {std::pair("int8", "rtn4"), {"rtn4", "rtn2"}, {"best4", "best2"}, {"gptq4", "gptq2"}})
    EXPECT_LT(kl[better], kl[worse]) << better << " " << worse;
  for (const char* smaller : {"int8", "rtn4", "nf4", "mxfp4", "gptq4", "best3", "joint4_50", "sparsegpt_2_4"})
    EXPECT_LT(bytes[smaller], bytes["baseline"]) << smaller;
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    CompressionRecipe,
    testing::Values("mistral-swa", "llama-gqa-bf16-sharded", "qwen2-tied", "phi", "llama31-rope", "qwen3"),
    [](const auto& p) {
      std::string name = p.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace pare
