// Learning goes on from a model that is rounded already: it begins as it is and loses less afterwards.
#include <gtest/gtest.h>

#include "backends.h"
#include "refusal.h"
#include "stages/made_models.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class QuantizeLearned : public MadeModels {};

const json kFew = {{"tokens", 4000}, {"step_tokens", 512}};

TEST_F(QuantizeLearned, BeginsAsTheRoundedModelAndLosesLess) {
  for (const bool symmetric : {true, false}) {
    const fs::path rounded = made("quantize.rtn", {{"bits", 3}, {"symmetric", symmetric}}, kShipped);
    json options = kFew;
    options["iterations"] = 0;
    const fs::path same = made("quantize.learned", options, rounded, {kShipped});
    options["iterations"] = 60;
    const fs::path learned = made("quantize.learned", options, rounded, {kShipped});
    const LayerParams a = load_model(rounded).params.layers[1], b = load_model(same).params.layers[1],
                      c = load_model(learned).params.layers[1];
    EXPECT_EQ(c.w_up.format().name(), a.w_up.format().name());
    EXPECT_EQ(c.w_up.bytes(), a.w_up.bytes());
    EXPECT_TRUE(identical(a.w_up.decode_all(), b.w_up.decode_all()));
    EXPECT_FALSE(identical(a.w_up.decode_all(), c.w_up.decode_all()));
    EXPECT_LT(output_error(kShipped, learned), 0.9 * output_error(kShipped, rounded)) << symmetric;
  }
}

TEST_F(QuantizeLearned, RefusesWhatItCannotGoOnFrom) {
  const fs::path table = made("quantize.nf4", json::object(), kShipped);
  EXPECT_NE(refusal([&] { made("quantize.learned", kFew, table, {kShipped}); }).find("integers"),
            std::string::npos);
  const fs::path rounded = made("quantize.rtn", {{"bits", 3}}, kShipped);
  EXPECT_NE(refusal([&] { made("quantize.learned", kFew, rounded); }).find("made from"), std::string::npos);
}

}  // namespace
}  // namespace pare
