// The sensitivity of a weight is the divergence of the model that has it replaced.
#include "measure/sensitivity.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/rng.h"
#include "measure/score.h"
#include "model/load.h"
#include "weights/int_group.h"

namespace pare {
namespace {

const std::filesystem::path kModels = std::filesystem::path(PARE_TEST_DATA) / "models";

TEST(Sensitivity, is_the_divergence_of_the_model_with_one_weight_replaced) {
  const Model model = load_model(kModels / "qwen2-tied");
  std::vector<std::vector<i32>> sequences(3);
  Rng rng(4);
  for (auto& ids : sequences)
    for (i64 t = 0; t < 20; ++t) ids.push_back(static_cast<i32>(rng.below(model.config.V)));
  Sensitivity sensitivity(model, sequences, 45);
  EXPECT_EQ(sensitivity.tokens(), 45);
  for (const i64 layer : {model.config.L - 1, i64{0}})
    for (const auto member : {&LayerParams::wv, &LayerParams::w_down}) {
      Model changed = model;
      Weight& w = changed.params.layers[static_cast<std::size_t>(layer)].*member;
      w = quantize_int_group(w.decode_all(), {2, 32, true});
      // divergence() scores from each sequence's second token on, and each last token is never scored.
      std::vector<std::vector<i32>> padded(sequences.begin(), sequences.end());
      padded[2].resize(5);
      for (auto& ids : padded) ids.push_back(0);
      const Divergence d = divergence(model, changed, padded, {});
      EXPECT_NEAR(sensitivity.kl_with(layer, member, w), d.kl_mean, 1e-6 + 1e-4 * d.kl_mean);
      EXPECT_EQ(
          sensitivity.kl_with(layer, member, model.params.layers[static_cast<std::size_t>(layer)].*member),
          0);
    }
}

}  // namespace
}  // namespace pare
