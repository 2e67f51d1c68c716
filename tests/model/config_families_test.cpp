// What each family's file means where it says nothing, and what is refused by name.
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/config.h"

namespace pare {
namespace {

json with(const std::string& family, const json& more = json::object()) {
  json raw = {{"model_type", family}};
  raw.update(more);
  return raw;
}
Config parse(const std::string& family, const json& more = json::object()) {
  return parse_config(with(family, more), "config.json");
}

TEST(ConfigFamilies, DefaultsAreThoseOfThePublishedFamilies) {
  const struct {
    const char* family;
    i64 V, D, F, L, H, K, E, positions;
    float eps;
  } cases[] = {{"llama", 32000, 4096, 11008, 32, 32, 32, 128, 2048, 1e-6f},
               {"mistral", 32000, 4096, 14336, 32, 32, 8, 128, 131072, 1e-6f},
               {"qwen2", 151936, 4096, 22016, 32, 32, 32, 128, 32768, 1e-6f},
               {"qwen3", 151936, 4096, 22016, 32, 32, 32, 128, 32768, 1e-6f},
               {"phi", 51200, 2048, 8192, 24, 32, 32, 64, 2048, 1e-5f}};
  for (const auto& x : cases) {
    SCOPED_TRACE(x.family);
    const Config c = parse(x.family);
    EXPECT_EQ(c.family, x.family);
    EXPECT_EQ(c.V, x.V);
    EXPECT_EQ(c.D, x.D);
    EXPECT_EQ(c.F, x.F);
    EXPECT_EQ(c.L, x.L);
    EXPECT_EQ(c.H, x.H);
    EXPECT_EQ(c.K, x.K);
    EXPECT_EQ(c.E, x.E);
    EXPECT_EQ(c.max_positions, x.positions);
    EXPECT_EQ(c.norm_eps, x.eps);
    EXPECT_EQ(c.rope.theta, 10000);
    EXPECT_FALSE(c.tied);
    EXPECT_TRUE(c.eos.empty());
    EXPECT_FALSE(c.bos.has_value());
    const bool phi = c.family == "phi";
    EXPECT_EQ(c.norm, phi ? Norm::layer : Norm::rms);
    EXPECT_EQ(c.mlp, phi ? Mlp::gelu_tanh : Mlp::gated_silu);
    EXPECT_EQ(c.parallel_block, phi);
    EXPECT_EQ(c.head_bias, phi);
    EXPECT_EQ(c.mlp_bias, phi);
    EXPECT_EQ(c.o_bias, phi);
    EXPECT_EQ(c.qkv_bias, phi || c.family == "qwen2");
    EXPECT_EQ(c.qk_norm, c.family == "qwen3");
    EXPECT_EQ(static_cast<i64>(c.rope.inv_freq.size()), phi ? 16 : c.E / 2);
  }
  EXPECT_EQ(parse("qwen3", {{"hidden_size", 64}, {"num_attention_heads", 4}, {"num_key_value_heads", 4}}).E,
            128)
      << "a head of Qwen3 is 128 wide whatever hidden_size / heads is";
}

TEST(ConfigFamilies, NullReadsAsAbsentAndBiasesAreOptions) {
  EXPECT_EQ(
      parse("llama", {{"num_key_value_heads", nullptr}, {"head_dim", nullptr}, {"rope_scaling", nullptr}}).K,
      32);
  for (const char* family : {"llama", "qwen3"}) {
    const Config c = parse(family, {{"attention_bias", true}});
    EXPECT_TRUE(c.qkv_bias && c.o_bias) << family;
  }
  EXPECT_TRUE(parse("llama", {{"mlp_bias", true}}).mlp_bias);
  EXPECT_TRUE(parse("qwen2", {{"tie_word_embeddings", true}}).tied);
  for (const char* act : {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"})
    EXPECT_NO_THROW(parse("phi", {{"hidden_act", act}}));
}

TEST(ConfigFamilies, SlidingWindowsOfEachLayer) {
  const json three = {{"num_hidden_layers", 3}};
  const auto windows = [&](const char* family, json more) {
    more.update(three);
    return parse(family, more).window;
  };
  using W = std::vector<i64>;
  EXPECT_EQ(windows("llama", {{"sliding_window", 8}}), (W{0, 0, 0}));
  EXPECT_EQ(windows("mistral", json::object()), (W{4096, 4096, 4096})) << "the family's default";
  EXPECT_EQ(windows("mistral", {{"sliding_window", nullptr}}), (W{0, 0, 0})) << "null: full attention";
  EXPECT_EQ(windows("mistral", {{"sliding_window", 12}}), (W{12, 12, 12}));
  for (const char* family : {"qwen2", "qwen3"}) {
    EXPECT_EQ(windows(family, {{"sliding_window", 16}, {"max_window_layers", 1}}), (W{0, 0, 0})) << family;
    EXPECT_EQ(
        windows(family, {{"use_sliding_window", true}, {"sliding_window", 16}, {"max_window_layers", 1}}),
        (W{0, 16, 16}));
    EXPECT_EQ(windows(family, {{"use_sliding_window", true}, {"max_window_layers", 2}}), (W{0, 0, 4096}));
    EXPECT_EQ(windows(family, {{"use_sliding_window", true}}), (W{0, 0, 0})) << "from layer 28 on";
    EXPECT_EQ(windows(family,
                      {{"sliding_window", 5},
                       {"layer_types", {"sliding_attention", "full_attention", "sliding_attention"}}}),
              (W{5, 0, 5}));
  }
}

TEST(ConfigFamilies, RefusalsNameTheFileTheKeyAndWhatWasExpected) {
  const struct {
    json raw;
    std::vector<std::string> parts;
  } cases[] = {
      {with("mamba"), {"model_type \"mamba\" is not supported", "llama, mistral, qwen2, qwen3, phi"}},
      {with("LLAMA"), {"model_type \"LLAMA\""}},
      {json::object(), {"model_type \"\""}},
      {json({{"model_type", 3}}), {"model_type is 3", "a text"}},
      {json::array(), {"array", "expected an object"}},
      {with("llama", {{"hidden_act", "gelu"}}), {"hidden_act \"gelu\"", "expected \"silu\""}},
      {with("phi", {{"hidden_act", "silu"}}), {"hidden_act \"silu\"", "expected \"gelu_new\""}},
      {with("phi", {{"qk_layernorm", true}}), {"qk_layernorm"}},
      {with("llama", {{"vocab_size", 0}}), {"vocab_size is 0", "1 to"}},
      {with("llama", {{"vocab_size", -5}}), {"vocab_size is -5"}},
      {with("llama", {{"vocab_size", u64{1} << 63}}), {"vocab_size"}},
      {with("llama", {{"vocab_size", "320"}}), {"vocab_size is \"320\"", "an integer"}},
      {with("llama", {{"hidden_size", 64.0}}), {"hidden_size is 64.0", "an integer"}},
      {with("llama", {{"hidden_size", i64{1} << 40}}), {"hidden_size"}},
      {with("llama", {{"num_hidden_layers", 100000}}), {"num_hidden_layers"}},
      {with("llama", {{"num_attention_heads", 7}}),
       {"hidden_size 4096", "num_attention_heads 7", "head_dim"}},
      {with("llama", {{"num_key_value_heads", 5}}), {"num_attention_heads 32", "num_key_value_heads 5"}},
      {with("llama", {{"head_dim", 1}}), {"head_dim is 1"}},
      {with("llama", {{"head_dim", 15}}), {"rotary dims"}},
      {with("llama", {{"max_position_embeddings", 0}}), {"max_position_embeddings is 0"}},
      {with("llama", {{"rms_norm_eps", -1e-6}}), {"rms_norm_eps"}},
      {with("llama", {{"rms_norm_eps", "1e-6"}}), {"rms_norm_eps", "a number"}},
      {with("phi", {{"layer_norm_eps", 2}}), {"layer_norm_eps"}},
      {with("llama", {{"tie_word_embeddings", 1}}), {"tie_word_embeddings is 1", "true or false"}},
      {with("llama", {{"eos_token_id", "x"}}), {"eos_token_id", "a token id"}},
      {with("mistral", {{"sliding_window", 0}}), {"sliding_window is 0"}},
      {with("qwen2", {{"layer_types", {"full_attention"}}}), {"layer_types holds 1", "32 layers"}},
      {with("qwen2", {{"num_hidden_layers", 1}, {"layer_types", {"linear_attention"}}}),
       {"\"linear_attention\""}},
      {with("qwen2", {{"num_hidden_layers", 1}, {"layer_types", {"sliding_attention"}}}),
       {"layer 0", "sliding_window"}},
      {with("qwen3", {{"layer_types", "full_attention"}}), {"layer_types"}},
  };
  for (const auto& [raw, parts] : cases) try {
      parse_config(raw, "some/config.json");
      ADD_FAILURE() << "accepted " << raw.dump();
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_EQ(std::string(e.what()).find("some/config.json"), 0u) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      for (const std::string& part : parts)
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << " lacks " << part;
    }
}

}  // namespace
}  // namespace pare
