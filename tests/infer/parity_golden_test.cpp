// Logits, layer outputs, loss and every gradient equal the reference's, on every tier.
// Tolerances: the README of the golden models recommends them from its measured noise floor.
#include <gtest/gtest.h>

#include "base/isa.h"
#include "infer/generate.h"
#include "model/fixture.h"

namespace pare {
namespace {

constexpr double kLogits = 1e-4, kHidden = 2e-4, kLoss = 5e-6, kGradient = 5e-5;

class Parity : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path dir() const { return fixture::dir(GetParam()); }
};

void expect_logits(const Model& model, const SafeTensors& golden) {
  const Tensor ids = golden.tensor("input_ids"), wanted = golden.tensor("logits");
  const std::vector<std::vector<i32>> sequences = {fixture::ids(ids, 0), fixture::ids(ids, 1)};
  Acts acts;
  forward(model, pack_sequences(sequences), acts);
  Tensor logits;
  head(model, acts.out, logits);
  ASSERT_EQ(logits.count(), wanted.count());
  EXPECT_LE(fixture::max_difference(logits.f32(), wanted.f32(), wanted.count()), kLogits);
}

TEST_P(Parity, LogitsOnEveryTier) {
  const Model model = load_model(dir());
  for (const std::string& isa : supported_isas()) {
    SCOPED_TRACE(isa);
    force_isa(isa);
    expect_logits(model, fixture::golden(dir()));
  }
  choose_isa();
}

TEST_P(Parity, OtherSpellingOfTheConfiguration) {
  const std::filesystem::path other =
      std::filesystem::exists(dir() / "config.v5.json") ? dir() / "config.v5.json" : dir() / "config.v4.json";
  Model model = load_model(dir());
  const Config c = parse_config(read_json(other), other.string());
  EXPECT_EQ(c.window, model.config.window);
  model.config = c;
  expect_logits(model, fixture::golden(dir()));
}

TEST_P(Parity, LayerOutputs) {
  const Model model = load_model(dir());
  const SafeTensors golden = fixture::golden(dir());
  Acts acts;
  acts.keep = Keep::everything;
  forward(model, pack_sequences({fixture::ids(golden.tensor("input_ids"), 0)}), acts);
  for (i64 l = 0; l <= model.config.L; ++l) {
    const Tensor wanted = golden.tensor("hidden." + std::to_string(l));
    const Tensor& found = l < model.config.L ? acts.layers[static_cast<std::size_t>(l)].x_in : acts.x;
    EXPECT_LE(fixture::max_difference(found.f32(), wanted.f32(), wanted.count()), kHidden) << "layer " << l;
  }
  const Tensor wanted = golden.tensor("hidden.final_norm");
  EXPECT_LE(fixture::max_difference(acts.out.f32(), wanted.f32(), wanted.count()), kHidden);
}

TEST_P(Parity, PaddedBatchAsPackedRows) {
  const Model model = load_model(dir());
  const SafeTensors golden = fixture::golden(dir());
  const Tensor ids = golden.tensor("padded_input_ids"), mask = golden.tensor("padded_attention_mask");
  const Tensor wanted = golden.tensor("padded_logits");
  const i64 T = ids.dim(1), V = model.config.V;
  std::vector<std::vector<i32>> sequences(2);
  std::vector<i64> rows;
  for (i64 b = 0; b < 2; ++b)
    for (i64 t = 0; t < T; ++t)
      if (mask.data<i64>()[b * T + t]) {
        sequences[static_cast<std::size_t>(b)].push_back(static_cast<i32>(ids.data<i64>()[b * T + t]));
        rows.push_back(b * T + t);
      }
  Acts acts;
  forward(model, pack_sequences(sequences), acts);
  Tensor logits;
  head(model, acts.out, logits);
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_LE(fixture::max_difference(logits.f32() + static_cast<i64>(i) * V, wanted.f32() + rows[i] * V, V),
              kLogits);
}

void expect_gradients(const Model& stored,
                      const SafeTensors& golden,
                      const std::vector<std::vector<i32>>& sequences,
                      float wanted_loss,
                      Keep keep) {
  Model model = stored;
  model.params = dense_copy(stored.params, stored.config);
  Params grads = zero_params(model.config);
  const Tensor targets = fixture::shifted(sequences);
  i64 tokens = 0;
  for (const i32 t : targets.span<i32>()) tokens += t >= 0;
  Acts acts;
  acts.keep = keep;
  BackwardScratch scratch;
  const Batch batch = pack_sequences(sequences);
  forward(model, batch, acts);
  const double nll =
      loss_and_gradients(model, batch, targets, 1.0f / static_cast<float>(tokens), acts, grads, scratch);
  EXPECT_NEAR(nll / static_cast<double>(tokens), wanted_loss, kLoss);
  int checked = 0;
  each_param(grads, model.config, [&](const std::string& name, const auto& member, const Shape& shape) {
    const Tensor found = f32_of(member), wanted = golden.tensor("grad." + name);
    ASSERT_EQ(wanted.shape(), shape) << name;
    EXPECT_LE(fixture::max_difference(found.f32(), wanted.f32(), wanted.count()),
              kGradient * fixture::max_abs(wanted))
        << name;
    ++checked;
  });
  EXPECT_GE(checked, 10);
}

TEST_P(Parity, LossAndEveryGradientOnEveryTier) {
  const Model model = load_model(dir());
  const SafeTensors golden = fixture::golden(dir());
  const Tensor ids = golden.tensor("input_ids");
  for (const std::string& isa : supported_isas()) {
    SCOPED_TRACE(isa);
    force_isa(isa);
    expect_gradients(model,
                     golden,
                     {fixture::ids(ids, 0), fixture::ids(ids, 1)},
                     golden.tensor("loss").f32()[0],
                     Keep::everything);
  }
  choose_isa();
  expect_gradients(model,
                   golden,
                   {fixture::ids(ids, 0), fixture::ids(ids, 1)},
                   golden.tensor("loss").f32()[0],
                   Keep::layer_inputs);
}

TEST_P(Parity, GreedyContinuation) {
  const Model model = load_model(dir());
  const SafeTensors golden = fixture::golden(dir());
  const std::vector<i32> wanted = fixture::ids(golden.tensor("greedy_ids"));
  const auto found = generate(
      model, nullptr, {{fixture::ids(golden.tensor("greedy_prompt")), static_cast<i64>(wanted.size())}}, {});
  EXPECT_EQ(found[0].ids, wanted);
}

INSTANTIATE_TEST_SUITE_P(Models, Parity, testing::ValuesIn(fixture::random_models()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ParityOfTheTrainedModel, LogitsLossGradientsGreedy) {
  if (!std::filesystem::exists(fixture::stories()))
    GTEST_SKIP()
        << "the shared folder with stories260K-hf is not here: parity on the trained model is NOT checked";
  const Model model = load_model(fixture::stories());
  const SafeTensors golden = fixture::golden(fixture::stories());
  Acts acts;
  forward(model, pack_sequences({fixture::ids(golden.tensor("prefix_ids"))}), acts);
  Tensor logits;
  head(model, acts.out, logits);
  const Tensor wanted = golden.tensor("prefix_logits");
  EXPECT_LE(fixture::max_difference(logits.f32(), wanted.f32(), wanted.count()), kLogits);
  const Tensor ids = golden.tensor("batch_ids");
  expect_gradients(model,
                   golden,
                   {fixture::ids(ids, 0), fixture::ids(ids, 1)},
                   golden.tensor("batch_loss").f32()[0],
                   Keep::everything);
  const std::vector<i32> greedy = fixture::ids(golden.tensor("greedy_ids"));
  EXPECT_EQ(generate(model, nullptr, {{{1}, static_cast<i64>(greedy.size())}}, {})[0].ids, greedy);
}

}  // namespace
}  // namespace pare
