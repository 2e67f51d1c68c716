// What quantization_config of compressed-tensors says is understood or refused by the name of the option.
#include "model/hf_compressed_tensors.h"

#include "refusal.h"

namespace pare {
namespace {

json base() {
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"ignore", {"lm_head"}},
          {"config_groups",
           {{"group_0",
             {{"targets", {"Linear"}},
              {"weights",
               {{"num_bits", 4},
                {"type", "int"},
                {"symmetric", true},
                {"strategy", "group"},
                {"group_size", 128}}},
              {"input_activations", nullptr},
              {"output_activations", nullptr}}}}}};
}
CompressedConfig parse(const json& config) { return parse_compressed_tensors(Keys(config, "config")); }

TEST(CompressedTensorsConfig, NamesAndExpressionsComeBeforeClassesAndIgnoredModulesAreLeftOut) {
  json config = base();
  config["ignore"] = {"lm_head", "re:.*layers\\.0\\..*gate"};
  config["config_groups"]["group_1"] = config["config_groups"]["group_0"];
  config["config_groups"]["group_1"]["weights"]["num_bits"] = 8;
  config["config_groups"]["group_1"]["targets"] = {"re:model.layers.*down_proj$",
                                                   "model.layers.1.self_attn.q_proj"};
  const CompressedConfig c = parse(config);
  const auto bits = [&](const char* module) {
    const CompressedGroup* g = group_of(c, module);
    return g ? g->bits : 0;
  };
  EXPECT_EQ(bits("model.layers.0.self_attn.q_proj"), 4);
  EXPECT_EQ(bits("model.layers.1.self_attn.q_proj"), 8);
  EXPECT_EQ(bits("model.layers.1.mlp.down_proj"), 8);
  EXPECT_EQ(bits("model.layers.0.mlp.gate_proj"), 0);
  EXPECT_EQ(bits("model.layers.1.mlp.gate_proj"), 4);
  EXPECT_EQ(bits("lm_head"), 0);
  EXPECT_EQ(bits("model.embed_tokens"), 0) << "an embedding is no Linear";
}

TEST(CompressedTensorsConfig, ActivationsAndCachesAreNoted) {
  json config = base();
  config["config_groups"]["group_0"]["input_activations"] = {
      {"num_bits", 8}, {"type", "float"}, {"dynamic", true}, {"strategy", "token"}};
  config["kv_cache_scheme"] = {{"num_bits", 8}, {"type", "float"}};
  const CompressedConfig c = parse(config);
  ASSERT_EQ(c.notes.size(), 2u);
  EXPECT_NE(c.notes[0].find("input_activations: 8 bits (float)"), std::string::npos) << c.notes[0];
  EXPECT_NE(c.notes[1].find("kv_cache_scheme"), std::string::npos);
  EXPECT_EQ(c.text, "pack-quantized 4 bits, groups of 128");
}

TEST(CompressedTensorsConfig, OptionsThatAreNotKnownAreRefusedByName) {
  const json spin = {{"config_groups", {{"u", {{"type", "hadamard"}}}}}};
  const std::vector<std::pair<const char*, json>> top = {{"format", "marlin-24"},
                                                         {"quantization_status", "calibration"},
                                                         {"transform_config", spin},
                                                         {"ignore", "lm_head"},
                                                         {"config_groups", {1}},
                                                         {"sparsity_config", {{"format", "dense-ish"}}},
                                                         {"sparsity_config", {{"threshold", 1}}},
                                                         {"secret", 1}};
  for (const auto& [key, value] : top) {
    json config = base();
    config[key] = value;
    const std::string message = refusal([&] { parse(config); });
    const std::string inner = std::string(key) == "sparsity_config" ? value.begin().key() : key;
    EXPECT_NE(message.find(inner), std::string::npos) << message;
  }
  const std::vector<std::pair<const char*, json>> weights = {{"num_bits", 1},
                                                             {"num_bits", 9},
                                                             {"type", "float"},
                                                             {"type", "nf"},
                                                             {"strategy", "token"},
                                                             {"strategy", "block"},
                                                             {"strategy", "tensor_group"},
                                                             {"group_size", 0},
                                                             {"group_size", "128"},
                                                             {"dynamic", true},
                                                             {"actorder", "random"},
                                                             {"symmetric", 1},
                                                             {"codebook", true}};
  for (const auto& [key, value] : weights) {
    json config = base();
    config["config_groups"]["group_0"]["weights"][key] = value;
    const std::string message = refusal([&] { parse(config); });
    const std::string of_value = value.is_string() ? value.get<std::string>() : key;
    EXPECT_TRUE(message.find(key) != std::string::npos || message.find(of_value) != std::string::npos)
        << message;
  }
  json broken = base();
  broken["ignore"] = {"re:("};
  const CompressedConfig c = parse(broken);
  refusal([&] { group_of(c, "lm_head"); });
}

}  // namespace
}  // namespace pare
