// Repair makes good part of what compression lost, leaves alone what lost nothing, and merging keeps zeros.
#include <gtest/gtest.h>

#include <filesystem>

#include "backends.h"
#include "refusal.h"
#include "stages/made_models.h"
#include "weights/low_rank.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const json kFew = {{"tokens", 1200}};

class LowrankRepair : public MadeModels {};

TEST_F(LowrankRepair, MakesGoodPartOfWhatRoundingLostAndMoreOfItWithMoreRank) {
  const fs::path rounded = made("quantize.rtn", {{"bits", 2}}, kShipped);
  json options = kFew;
  double last = output_error(kShipped, rounded);
  for (const i64 rank : {4, 32}) {
    options["rank"] = rank;
    const fs::path repaired = made("lowrank.repair", options, rounded, {kShipped});
    const Weight up = load_model(repaired).params.layers[1].w_up;
    ASSERT_NE(low_rank_of(up), nullptr);
    EXPECT_EQ(low_rank_of(up)->rank(), rank);
    EXPECT_TRUE(identical(low_rank_of(up)->parts().base.decode_all(),
                          load_model(rounded).params.layers[1].w_up.decode_all()));
    const double error = output_error(kShipped, repaired);
    EXPECT_LT(error, 0.9 * last) << rank;
    last = error;
  }
}

TEST_F(LowrankRepair, MergedWeightsAreTheSumsAndDense) {
  const fs::path rounded = made("quantize.rtn", {{"bits", 3}}, kShipped);
  json options = kFew;
  options["dtype"] = "f32", options["inputs"] = "dense";
  const fs::path beside = made("lowrank.repair", options, rounded, {kShipped});
  options["keep"] = "merged";
  const fs::path merged = made("lowrank.repair", options, rounded, {kShipped});
  for (std::size_t l = 0; l < 2; ++l) {
    const Weight sum = load_model(beside).params.layers[l].wo, one = load_model(merged).params.layers[l].wo;
    ASSERT_TRUE(one.dense().defined());
    EXPECT_TRUE(identical(one.decode_all(), sum.decode_all()));
  }
}

TEST_F(LowrankRepair, MergingIntoPrunedWeightsKeepsEveryZero) {
  json pruning = kFew;
  pruning["pattern"] = "2:4";
  for (const char* store : {"mask", "dense"}) {
    pruning["store"] = store;
    const fs::path pruned = made("prune.wanda", pruning, kShipped);
    json options = kFew;
    options["keep"] = "merged";
    const fs::path merged = made("lowrank.repair", options, pruned, {kShipped});
    const Tensor before = load_model(pruned).params.layers[0].w_down.decode_all();
    const Tensor after = load_model(merged).params.layers[0].w_down.decode_all();
    i64 changed = 0;
    for (i64 i = 0; i < before.count(); ++i) {
      ASSERT_TRUE(before.f32()[i] != 0 || after.f32()[i] == 0) << i;
      changed += before.f32()[i] != after.f32()[i];
    }
    EXPECT_GT(changed, before.count() / 4) << store;
  }
}

TEST_F(LowrankRepair, WeightsThatLostNothingStayAsTheyAre) {
  const fs::path same = made("lowrank.repair", kFew, kShipped, {kShipped / ".." / "sums-3m"});
  const Model a = load_model(kShipped), b = load_model(same);
  for (std::size_t l = 0; l < a.params.layers.size(); ++l)
    EXPECT_TRUE(identical(a.params.layers[l].w_gate.dense(), b.params.layers[l].w_gate.dense()));
}

TEST_F(LowrankRepair, NeedsAnAncestorInTheSameCoordinates) {
  const fs::path rounded = made("quantize.rtn", {{"bits", 4}}, kShipped);
  EXPECT_NE(refusal([&] { made("lowrank.repair", kFew, rounded); }).find("has no ancestor here"),
            std::string::npos);
  const fs::path scaled = made("quantize.awq", kFew, kShipped);
  EXPECT_NE(refusal([&] { made("lowrank.repair", kFew, scaled, {kShipped}); }).find("quantize.awq"),
            std::string::npos);
}

}  // namespace
}  // namespace pare
