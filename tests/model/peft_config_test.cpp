// What an adapter's configuration means, and what of it is refused by name.
#include "model/peft_config.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "refusal.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class PeftConfigTest : public ::testing::Test {
 protected:
  PeftConfigTest() : root_(temporary_beside(fs::temp_directory_path() / "peft-config")) {
    fs::create_directories(root_);
  }
  ~PeftConfigTest() override { fs::remove_all(root_); }
  PeftConfig read(json config) {
    if (!config.contains("peft_type")) config["peft_type"] = "LORA";
    write_file_atomic(root_ / "adapter_config.json", config.dump());
    return PeftConfig::read(root_);
  }
  fs::path root_;
};

TEST_F(PeftConfigTest, AbsentKeysHavePeftsDefaults) {
  const PeftConfig c = read({{"target_modules", nullptr}});
  EXPECT_EQ(c.rank("x"), 8);
  EXPECT_EQ(c.scale("x"), 1);
  EXPECT_TRUE(c.targets("model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(c.dora() || c.pissa());
}

TEST_F(PeftConfigTest, ScalesOfLoraAndRslora) {
  EXPECT_EQ(read({{"r", 4}, {"lora_alpha", 6}}).scale("x"), 1.5);
  EXPECT_EQ(read({{"r", 4}, {"lora_alpha", 6}, {"use_rslora", true}}).scale("x"), 3);
}

TEST_F(PeftConfigTest, PatternsMatchTheEndOfAModulesPath) {
  const PeftConfig c = read({{"rank_pattern", {{"layers.1.mlp.up_proj", 2}, {"^model.layers.\\d.q", 3}}},
                             {"alpha_pattern", {{"up_proj|q", 16}}}});
  EXPECT_EQ(c.rank("model.layers.1.mlp.up_proj"), 2);
  EXPECT_EQ(c.rank("model.layers.11.mlp.up_proj"), 8);
  EXPECT_EQ(c.rank("model.layers.1.mlp.up_proj.more"), 8);
  EXPECT_EQ(c.scale("model.layers.1.mlp.up_proj"), 8);
  EXPECT_EQ(c.scale("model.layers.2.mlp.up_proj"), 2);
}

TEST_F(PeftConfigTest, TargetsAreSuffixesOrAPatternOfTheWholePath) {
  const PeftConfig list = read({{"target_modules", {"q_proj", "layers.1.mlp.up_proj"}}});
  EXPECT_TRUE(list.targets("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(list.targets("model.layers.0.self_attn.xq_proj"));
  EXPECT_TRUE(list.targets("model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(list.targets("model.layers.11.mlp.up_proj"));
  const PeftConfig pattern = read({{"target_modules", "model\\.layers\\.[01]\\.mlp.*|head"}});
  EXPECT_TRUE(pattern.targets("model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(pattern.targets("model.layers.2.mlp.up_proj"));
  EXPECT_FALSE(pattern.targets("model.layers.1.self_attn.q_proj"));
}

TEST_F(PeftConfigTest, WhatIsNotDoneIsRefusedByName) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, json>>{{"bias", "all"},
                                                 {"lora_bias", true},
                                                 {"fan_in_fan_out", true},
                                                 {"alora_invocation_tokens", {1, 2}},
                                                 {"use_qalora", true},
                                                 {"layer_replication", {{0, 1}}},
                                                 {"trainable_token_indices", {3}},
                                                 {"target_parameters", {"x"}},
                                                 {"made_up_tomorrow", true},
                                                 {"init_lora_weights", "olora"},
                                                 {"init_lora_weights", "pissa_niter_4"},
                                                 {"peft_type", "IA3"}})
    EXPECT_NE(refusal([&, k = key, v = value] { read({{k, v}}); }).find(key), std::string::npos) << key;
}

TEST_F(PeftConfigTest, WrongTypesAreRefusedByName) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, json>>{{"r", "4"},
                                                                            {"r", 0},
                                                                            {"lora_alpha", "8"},
                                                                            {"use_dora", 1},
                                                                            {"rank_pattern", {1}},
                                                                            {"rank_pattern", {{"q", 1.5}}},
                                                                            {"alpha_pattern", {{"q", "x"}}},
                                                                            {"target_modules", {1}},
                                                                            {"modules_to_save", "head"}})
    EXPECT_NE(refusal([&, k = key, v = value] { read({{k, v}}); }).find(key), std::string::npos) << key;
}

}  // namespace
}  // namespace pare
