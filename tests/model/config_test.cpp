// Configurations as they lie in model folders: both spellings, rotary scaling by its formulas, ids.
#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "base/error.h"
#include "model/fixture.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

json small() {
  return {{"model_type", "llama"},
          {"vocab_size", 320},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"rms_norm_eps", 1e-5},
          {"max_position_embeddings", 512},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

/// Rotary frequencies of `rope` under each spelling; they must agree.
Rope rope_of(const json& rope, const json& more = json::object()) {
  json v4 = small(), v5 = small();
  v4.update(more), v5.update(more);
  v4["rope_scaling"] = rope;
  v4["rope_theta"] = 10000.0;
  v5["rope_parameters"] = rope;
  v5["rope_parameters"]["rope_theta"] = 10000.0;
  const Config a = parse_config(v4, "v4"), b = parse_config(v5, "v5");
  EXPECT_EQ(a.rope.inv_freq, b.rope.inv_freq);
  EXPECT_EQ(a.rope.attention_scaling, b.rope.attention_scaling);
  EXPECT_EQ(a.rope.type, b.rope.type);
  return b.rope;
}

TEST(ConfigOfThisProgram, OnlineHadamardTransformsAreReadStrictly) {
  json raw = small();
  EXPECT_FALSE(parse_config(raw, "c").hadamard_mlp);
  raw["pare"] = {{"online_hadamard", {{"mlp", true}}}};
  Config c = parse_config(raw, "c");
  EXPECT_TRUE(c.hadamard_mlp);
  EXPECT_FALSE(c.hadamard_qk);
  EXPECT_THROW(expect_no_online_hadamard(c, "c"), Error);
  raw["pare"] = {{"online_hadamard", {{"mlp", false}, {"qk", true}}}};
  c = parse_config(raw, "c");
  EXPECT_TRUE(c.hadamard_qk && !c.hadamard_mlp);
  for (const json& wrong : {json{{"online_hadamard", {{"mlp", 1}}}},
                            json{{"online_hadamard", {{"down", true}}}},
                            json{{"offline", true}},
                            json(3)}) {
    raw["pare"] = wrong;
    EXPECT_THROW(parse_config(raw, "c"), Error) << wrong;
  }
}

double plain(std::size_t i, double dims = 16) {
  return std::pow(10000.0, -2.0 * static_cast<double>(i) / dims);
}

TEST(Config, BothSpellingsOfEveryGoldenModelMeanTheSame) {
  for (const std::string& name : fixture::random_models()) {
    SCOPED_TRACE(name);
    const fs::path dir = fixture::dir(name);
    const fs::path other =
        fs::exists(dir / "config.v5.json") ? dir / "config.v5.json" : dir / "config.v4.json";
    const Config a = read_config(dir), b = parse_config(read_json(other), other.string());
    EXPECT_EQ(a.family, b.family);
    for (const auto field : {&Config::D,
                             &Config::L,
                             &Config::V,
                             &Config::H,
                             &Config::K,
                             &Config::E,
                             &Config::F,
                             &Config::max_positions})
      EXPECT_EQ(a.*field, b.*field);
    for (const auto field : {&Config::qkv_bias,
                             &Config::o_bias,
                             &Config::mlp_bias,
                             &Config::head_bias,
                             &Config::qk_norm,
                             &Config::parallel_block,
                             &Config::tied})
      EXPECT_EQ(a.*field, b.*field);
    EXPECT_EQ(a.norm, b.norm);
    EXPECT_EQ(a.mlp, b.mlp);
    EXPECT_EQ(a.norm_eps, b.norm_eps);
    EXPECT_EQ(a.window, b.window);
    EXPECT_EQ(a.rope.inv_freq, b.rope.inv_freq);
    EXPECT_EQ(a.rope.theta, b.rope.theta);
    EXPECT_EQ(a.eos, b.eos);
    EXPECT_EQ(a.bos, b.bos);
    EXPECT_EQ(a.raw, read_json(dir / "config.json")) << "the file survives as it was";
  }
}

TEST(Config, RotaryScalingFollowsItsFormulas) {
  const Rope none = rope_of({{"rope_type", "default"}});
  const Rope linear = rope_of({{"rope_type", "linear"}, {"factor", 4.0}});
  const Rope old_name = rope_of({{"type", "linear"}, {"factor", 4.0}});
  const Rope llama3 = rope_of({{"rope_type", "llama3"},
                               {"factor", 8.0},
                               {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0},
                               {"original_max_position_embeddings", 64}});
  ASSERT_EQ(none.inv_freq.size(), 8u);
  EXPECT_EQ(old_name.inv_freq, linear.inv_freq);
  int kept = 0, divided = 0, between = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const double f = plain(i), wavelength = 2 * std::numbers::pi / f;
    EXPECT_FLOAT_EQ(none.inv_freq[i], static_cast<float>(f));
    EXPECT_FLOAT_EQ(linear.inv_freq[i], static_cast<float>(f / 4));
    double want = f;
    if (wavelength < 16) {
      ++kept;
    } else if (wavelength > 64) {
      want = f / 8, ++divided;
    } else {
      const double s = (64 / wavelength - 1) / (4 - 1);
      want = (1 - s) * f / 8 + s * f, ++between;
    }
    EXPECT_FLOAT_EQ(llama3.inv_freq[i], static_cast<float>(want)) << i;
  }
  EXPECT_TRUE(kept && divided && between) << "every branch of llama3 is seen";
}

TEST(Config, YarnFollowsItsFormula) {
  const json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 128}};
  const Rope rope = rope_of(yarn);
  EXPECT_FLOAT_EQ(rope.attention_scaling, static_cast<float>(0.1 * std::log(4.0) + 1));
  const auto dim = [](double r) {
    return 16 * std::log(128 / (2 * std::numbers::pi * r)) / (2 * std::log(10000.0));
  };
  const double low = std::max(0.0, std::floor(dim(32))), high = std::min(15.0, std::ceil(dim(1)));
  for (std::size_t i = 0; i < 8; ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    EXPECT_FLOAT_EQ(rope.inv_freq[i], static_cast<float>(plain(i) / 4 * ramp + plain(i) * (1 - ramp))) << i;
  }
  json given = yarn;
  given["attention_factor"] = 1.5;
  EXPECT_EQ(rope_of(given).attention_scaling, 1.5f);
  given.erase("attention_factor");
  given["mscale"] = 2.0, given["mscale_all_dim"] = 1.0;
  EXPECT_FLOAT_EQ(rope_of(given).attention_scaling,
                  static_cast<float>((0.2 * std::log(4.0) + 1) / (0.1 * std::log(4.0) + 1)));
  // The original length may stand at the top, where it overrides.
  EXPECT_EQ(
      rope_of({{"rope_type", "yarn"}, {"factor", 4.0}}, {{"original_max_position_embeddings", 128}}).inv_freq,
      rope.inv_freq);
}

TEST(Config, PartOfAHeadMayRotateInEitherSpelling) {
  const Rope part = rope_of({{"rope_type", "default"}, {"partial_rotary_factor", 0.5}});
  ASSERT_EQ(part.inv_freq.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(part.inv_freq[i], static_cast<float>(plain(i, 8)));
  json top = small();
  top["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(parse_config(top, "x").rope.inv_freq, part.inv_freq);
}

TEST(Config, RefusesRotaryEmbeddingsItDoesNotKnowOrThatMeanNothing) {
  const struct {
    json rope;
    std::vector<std::string> parts;
  } cases[] = {
      {{{"rope_type", "longrope"}, {"factor", 2.0}},
       {"longrope", "known are default, linear, dynamic, llama3, yarn"}},
      {{{"rope_type", "dynamic"}, {"factor", 0.5}}, {"factor 0.5", "1 or more"}},
      {{{"rope_type", "longrope"}}, {"longrope"}},
      {{{"rope_type", 3}}, {"rope_type", "a text"}},
      {{{"rope_type", "linear"}}, {"factor", "missing"}},
      {{{"rope_type", "linear"}, {"factor", "2"}}, {"factor", "a number"}},
      {{{"rope_type", "linear"}, {"factor", 0.0}}, {"factor", "above 0"}},
      {{{"rope_type", "yarn"}, {"factor", -1.0}}, {"factor", "above 0"}},
      {{{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}}, {"high_freq_factor", "missing"}},
      {{{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 4.0}, {"high_freq_factor", 4.0}},
       {"high_freq_factor", "low_freq_factor"}},
      {{{"rope_theta", 0.0}}, {"rope_theta", "above 0"}},
      {{{"rope_theta", "10000"}}, {"rope_theta", "a number"}},
      {{{"partial_rotary_factor", 0.0}}, {"partial_rotary_factor"}},
      {{{"partial_rotary_factor", 1.5}}, {"partial_rotary_factor"}},
      {{{"partial_rotary_factor", 0.19}}, {"partial_rotary_factor", "3 rotary dims"}},
      {json::array({1}), {"expected an object"}},
  };
  for (const auto& [rope, parts] : cases)
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      json raw = small();
      raw[key] = rope;
      try {
        parse_config(raw, "dir/config.json");
        ADD_FAILURE() << "accepted " << rope.dump();
      } catch (const Error& e) {
        EXPECT_EQ(e.fault(), Fault::user) << e.what();
        EXPECT_EQ(std::string(e.what()).find("dir/config.json"), 0u) << e.what();
        for (const std::string& part : parts)
          EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << " lacks " << part;
      }
    }
}

class Folder : public testing::Test {
 protected:
  Folder() : dir_(temporary_beside(fs::temp_directory_path() / "config")) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  ~Folder() override { fs::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(dir_ / name) << text; }
  std::string error() const {
    try {
      read_config(dir_);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      return e.what();
    }
    ADD_FAILURE() << "accepted";
    return "";
  }
  fs::path dir_;
};

TEST_F(Folder, GenerationConfigDecidesOverIdsWhereItStatesThem) {
  write("config.json", small().dump());
  EXPECT_EQ(read_config(dir_).eos, std::vector<i32>{2});
  EXPECT_EQ(read_config(dir_).bos, 1);
  write("generation_config.json", R"({"eos_token_id": [7, 9], "bos_token_id": null})");
  EXPECT_EQ(read_config(dir_).eos, (std::vector<i32>{7, 9}));
  EXPECT_EQ(read_config(dir_).bos, 1);
  write("generation_config.json", R"({"bos_token_id": 5})");
  EXPECT_EQ(read_config(dir_).eos, std::vector<i32>{2});
  EXPECT_EQ(read_config(dir_).bos, 5);
}

TEST_F(Folder, BrokenFilesAreNamed) {
  EXPECT_NE(error().find("no config.json"), std::string::npos);
  for (const char* text :
       {"", "{", "[1]", "null", R"({"model_type": "llama", "model_type": "phi"})", "\xff\xfe"}) {
    write("config.json", text);
    EXPECT_NE(error().find("config.json"), std::string::npos) << text;
  }
  write("config.json", small().dump());
  for (const char* text : {"{",
                           "[]",
                           R"({"eos_token_id": "</s>"})",
                           R"({"eos_token_id": -1})",
                           R"({"eos_token_id": [1, 2.5]})"}) {
    write("generation_config.json", text);
    EXPECT_NE(error().find("generation_config.json"), std::string::npos) << text;
  }
}

TEST(Config, CountsItsParameters) {
  for (const std::string& name : fixture::random_models()) {
    const Model m = load_model(fixture::dir(name));
    i64 counted = 0;
    each_param(
        m.params, m.config, [&](const std::string&, const auto&, const Shape& s) { counted += s.count(); });
    EXPECT_EQ(m.config.parameters(), counted) << name;
  }
}

}  // namespace
}  // namespace pare
