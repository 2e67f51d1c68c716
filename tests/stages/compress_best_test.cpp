// The stages that are meant to be best lose far less than rounding at the same bytes, on texts they never
// saw.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "eval/texts.h"
#include "measure/score.h"
#include "model/load.h"
#include "stages/calibrated.h"
#include "text/tokenizer.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class BestTest : public ::testing::Test {
 protected:
  BestTest() : root_(temporary_beside(fs::temp_directory_path() / "best")), dense_(load_model(kShipped)) {
    const JudgedText text = judged_text("sums:test", 40, *Tokenizer::load(kShipped));
    sequences_ = text.sequences;
    scored_.first_scored = text.first_scored;
  }
  ~BestTest() override { fs::remove_all(root_); }
  /// KL to the dense model on problems that calibration does not see.
  double kl(const std::string& stage, const json& options) {
    const StageInfo& info = find_stage(stage);
    const json all = info.canonical(options, "test");
    fs::path model = kShipped;
    std::vector<fs::path> ancestors;
    for (const StagePart& part : info.parts ? info.parts(all) : std::vector<StagePart>{{stage, all}}) {
      const fs::path dir = root_ / std::to_string(++made_);
      fs::create_directories(dir / "work"), fs::create_directories(dir / "out");
      JobInput input{part.stage, model, dir / "work", dir / "out", 0, {{"calib", "sums:train"}}, {}, {}, {}};
      input.ancestors = ancestors;
      Job j(std::move(input));
      const StageInfo& one = find_stage(part.stage);
      one.run(one.canonical(part.options, "test"), j);
      j.finish();
      curves_ = j.series();
      ancestors.push_back(model);
      model = dir / "out";
    }
    const Model made = load_model(model);
    bytes_ = param_bytes(made);
    return divergence(dense_, made, sequences_, scored_).kl_mean;
  }
  fs::path root_;
  Model dense_;
  std::vector<std::vector<i32>> sequences_;
  ScoreOptions scored_;
  int made_ = 0;
  i64 bytes_ = 0;
  std::vector<CurvePoint> curves_;
};

TEST_F(BestTest, LosesFarLessThanRoundingAtTheSameBytes) {
  const double rounded = kl("quantize.rtn", {{"bits", 3}, {"group", "64"}});
  const i64 bytes = bytes_;
  EXPECT_LT(kl("compress.best", {{"bits", 3}, {"tokens", 8000}}), 0.6 * rounded);
  EXPECT_EQ(bytes_, bytes);
}

TEST_F(BestTest, LearningBringsEveryBlockNearerToItsTarget) {
  kl("quantize.learned", {{"bits", 3}, {"tokens", 4000}, {"iterations", 40}, {"step_tokens", 512}});
  i64 blocks = 0;
  for (const CurvePoint& point : curves_)
    if (point.name == "relative_block_loss") {
      ++blocks;
      EXPECT_LT(point.value, 0.9) << point.step;
    }
  EXPECT_EQ(blocks, dense_.config.L);
}

TEST_F(BestTest, WithoutIterationsLearningIsRounding) {
  EXPECT_EQ(kl("quantize.learned", {{"tokens", 500}, {"iterations", 0}}),
            kl("quantize.rtn", {{"bits", 4}, {"group", "64"}}));
}

TEST_F(BestTest, AFewTokensAreSaidAndStillGiveAModel) {
  EXPECT_LT(kl("compress.best", {{"tokens", 100}}), 1);
}

}  // namespace
}  // namespace pare
