// A rotated model is the same function, whatever the configuration has: in double precision, so that nothing
// hides behind rounding but that of the stored weights.
#include "compress/rotate_model.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ref/model.h"
#include "refusal.h"

namespace pare {
namespace {

constexpr double kLogits = 1e-5;  // of the largest logit: weights are rounded to f32

struct Case {
  const char* name;
  void (*change)(Config&);
};

Config base_config() {
  Config c;
  c.family = "llama";
  c.D = 12, c.L = 2, c.V = 13, c.H = 4, c.K = 2, c.E = 6, c.F = 20;
  c.max_positions = 64;
  c.norm_eps = 1e-5f;
  c.window.assign(2, 0);
  c.rope.inv_freq = {1.0f, 0.3f, 0.05f};
  return c;
}
void all_biases(Config& c) { c.qkv_bias = c.o_bias = c.mlp_bias = c.head_bias = true; }

const std::vector<Case> kCases = {
    {"grouped_queries", [](Config&) {}},
    {"one_key_head", [](Config& c) { c.K = 1; }},
    {"tied_head", [](Config& c) { c.tied = true; }},
    {"tied_head_with_bias", [](Config& c) { c.tied = c.head_bias = true; }},
    {"qkv_bias", [](Config& c) { c.qkv_bias = true; }},
    {"all_biases", all_biases},
    {"query_key_norm", [](Config& c) { c.qk_norm = true, all_biases(c); }},
    {"sliding_window",
     [](Config& c) {
       c.window = {3, 0};
     }},
    {"parallel_block", [](Config& c) { c.parallel_block = true; }},
    {"layer_norm", [](Config& c) { c.norm = Norm::layer, all_biases(c); }},
    {"phi",
     [](Config& c) {
       c.family = "phi", c.norm = Norm::layer, c.mlp = Mlp::gelu_tanh, c.parallel_block = true;
       c.rope.inv_freq = {1.0f, 0.2f}, c.K = c.H, all_biases(c);
     }},
    {"everything_at_once",
     [](Config& c) {
       c.norm = Norm::layer, c.qk_norm = c.tied = true, c.window = {2, 4}, all_biases(c);
     }},
};

/// Norms' gains about 1 with a spread, biases that weigh.
Model random_model(const Config& c, u64 seed) {
  Model m{c, zero_params(c)};
  u64 stream = 0;
  each_param(m.params, c, [&](const std::string& name, auto& member, const Shape& shape) {
    Tensor t = f32_of(member);
    const double mean = shape.rank() == 1 && name.ends_with(".weight") ? 1.0 : 0.0;
    const Tensor values = ref::normal(shape, seed * 1000 + ++stream, 0.4, mean);
    std::memcpy(t.raw(), values.raw(), static_cast<std::size_t>(t.bytes()));
  });
  return m;
}

const auto kAll = [](const std::string&) { return true; };

/// `m` with its rotated parameters in place.
ref::Model rotated(const Model& m, const ModelRotation& r) {
  ref::Model out = ref::model_of(m);
  if (r.residual.defined()) out.config.tied = false;
  out.config.hadamard_mlp = r.mlp;
  each_rotated(m, r, kAll, [&](const std::string& name, const Tensor& value) {
    if (name != "lm_head.weight" || !m.config.tied)
      ASSERT_EQ(out.at(name).size(), static_cast<std::size_t>(value.count())) << name;
    out.params[name] = ref::doubles(value);
  });
  return out;
}

/// Largest difference of logits over the largest logit.
double difference(const ref::Model& a, const ref::Model& b) {
  const std::vector<i32> ids = {3, 1, 4, 1, 5, 9, 2, 6, 12};
  const ref::Doubles x = ref::logits(a, ids), y = ref::logits(b, ids);
  double worst = 0, top = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(x[i] - y[i])), top = std::max(top, std::abs(x[i]));
  return worst / top;
}

class RotateModel : public testing::TestWithParam<Case> {
 protected:
  RotateModel() : model_{{}, {}} {
    Config c = base_config();
    GetParam().change(c);
    model_ = random_model(c, 7);
  }
  Model model_;
};

TEST_P(RotateModel, LogitsStayWhateverIsRotated) {
  const Config& c = model_.config;
  ModelRotation r1, r2, r4, both, folded;
  r1.residual = both.residual = random_residual_rotation(c, 3);
  r2.values = both.values = random_value_rotations(c, 3);
  r4.mlp = both.mlp = true;
  folded.residual = Rotation::identity(c.D);
  const ref::Model before = ref::model_of(model_);
  for (const ModelRotation* r : {&r1, &r2, &r4, &both, &folded})
    EXPECT_LE(difference(before, rotated(model_, *r)), kLogits);
}

TEST_P(RotateModel, NormsAreFoldedAway) {
  ModelRotation r;
  r.residual = Rotation::identity(model_.config.D);
  const ref::Model m = rotated(model_, r);
  for (const auto& [name, values] : m.params)
    if (name.find("norm") != name.npos && name.find("q_norm") == name.npos &&
        name.find("k_norm") == name.npos)
      for (const double x : values) EXPECT_EQ(x, name.ends_with("weight") ? 1 : 0) << name;
}

TEST_P(RotateModel, EveryMatrixChangesAndOnlyWhatIsWantedIsMade) {
  ModelRotation r;
  r.residual = random_residual_rotation(model_.config, 3);
  const ref::Model before = ref::model_of(model_), after = rotated(model_, r);
  for (const auto& [name, values] : before.params)
    if (name.ends_with("proj.weight") || name == "model.embed_tokens.weight")
      EXPECT_NE(values, after.at(name)) << name;
  std::vector<std::string> made;
  each_rotated(
      model_,
      r,
      [](const std::string& name) {
        return name == "model.norm.weight" || name.ends_with("1.mlp.down_proj.weight");
      },
      [&](const std::string& name, const Tensor&) { made.push_back(name); });
  if (model_.config.family != "phi")
    EXPECT_EQ(made, (std::vector<std::string>{"model.layers.1.mlp.down_proj.weight", "model.norm.weight"}));
}

INSTANTIATE_TEST_SUITE_P(Options, RotateModel, testing::ValuesIn(kCases), [](const auto& param) {
  return std::string(param.param.name);
});

TEST(RotateModelOnce, RefusesALayerNormWhoseBiasHasNowhereToGo) {
  Config c = base_config();
  c.norm = Norm::layer;
  const Model m = random_model(c, 1);
  ModelRotation r;
  r.values = random_value_rotations(c, 3);
  EXPECT_LE(difference(ref::model_of(m), rotated(m, r)), kLogits);
  r.residual = random_residual_rotation(c, 3);
  EXPECT_NE(refusal([&] { rotated(m, r); }).find("rotate without r1"), std::string::npos);
}

}  // namespace
}  // namespace pare
