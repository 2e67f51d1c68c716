// Scaling a block's inputs changes no logits, in any family; the stages that do it leave less error than
// rounding.
#include "stages/scaled_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "model/forward.h"
#include "model/load.h"
#include "stages/calibrated.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kModels = fs::path(PARE_TEST_DATA) / "models";
const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

Tensor logits_of(const Model& model) {
  std::vector<i32> ids;
  Rng rng(5);
  for (i64 t = 0; t < 24; ++t) ids.push_back(static_cast<i32>(rng.below(model.config.V)));
  Acts acts;
  forward(model, pack_sequences({ids}), acts);
  Tensor logits;
  head(model, acts.out, logits);
  return logits;
}

class EveryScaledFamily : public testing::TestWithParam<const char*> {};

TEST_P(EveryScaledFamily, computes_the_same_function_after_scaling) {
  Model model = load_model(kModels / GetParam());
  const Tensor before = logits_of(model);
  Rng rng(9);
  for (LayerParams& p : model.params.layers) {
    ScaledBlock block(model.config, p);
    for (const LinearGroup& group : linear_groups(model.config)) {
      if (!block.can_scale(group.input)) continue;
      Tensor s = Tensor::empty({group.width});
      for (i64 k = 0; k < group.width; ++k) s.f32()[k] = 0.25f + static_cast<float>(rng.below(400)) / 100;
      block.scale(group, block.tied(group.input, s));
    }
  }
  const Tensor after = logits_of(model);
  float largest = 0, difference = 0;
  for (i64 i = 0; i < before.count(); ++i) {
    largest = std::max(largest, std::abs(before.f32()[i]));
    difference = std::max(difference, std::abs(before.f32()[i] - after.f32()[i]));
  }
  EXPECT_LT(difference, 1e-5 * (1 + largest));
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    EveryScaledFamily,
    testing::Values("mistral-swa", "llama-gqa-bf16-sharded", "qwen2-tied", "phi", "llama31-rope", "qwen3"),
    [](const auto& p) {
      std::string name = p.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

class ScalingStages : public ::testing::Test {
 protected:
  ScalingStages() : root_(temporary_beside(fs::temp_directory_path() / "scaling")) {}
  ~ScalingStages() override { fs::remove_all(root_); }
  Model made(const std::string& stage, const json& options) {
    const fs::path dir = root_ / std::to_string(++made_);
    fs::create_directories(dir / "work"), fs::create_directories(dir / "out");
    Job j({"test", source_, dir / "work", dir / "out", 0, {{"calib", "sums:train"}}});
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), j);
    j.finish();
    return load_model(dir / "out");
  }
  fs::path root_;
  fs::path source_ = kShipped;
  int made_ = 0;
};

double mean_square(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (i64 i = 0; i < a.count(); ++i) sum += std::pow(static_cast<double>(a.f32()[i]) - b.f32()[i], 2);
  return sum / static_cast<double>(a.count());
}

TEST_F(ScalingStages, dense_results_are_the_model_itself) {
  const Tensor before = logits_of(load_model(kShipped));
  for (const std::string stage : {"quantize.awq", "quantize.smooth"}) {
    const Model scaled = made(stage, {{"tokens", 1000}, {"store", "dense"}});
    EXPECT_LT(mean_square(before, logits_of(scaled)), 1e-8) << stage;
    EXPECT_NE(scaled.params.layers[0].norm_att.to_f32().f32()[0],
              load_model(kShipped).params.layers[0].norm_att.to_f32().f32()[0])
        << stage;
  }
}

TEST_F(ScalingStages, awq_finds_the_inputs_that_are_large) {
  // The shipped model, every sixteenth input of each norm 30 times as large, the columns that read it
  // smaller.
  const fs::path dir = root_ / "salient";
  fs::create_directories(dir / "work"), fs::create_directories(dir / "out");
  Job j({"test", kShipped, dir / "work", dir / "out", 0, {{"calib", "sums:train"}}});
  CalibrationOptions few;
  few.tokens = 100;
  walk_whole_blocks(j, calibration_of(few, j), [&](i64, LayerParams& p, const BlockMoments&) {
    ScaledBlock block(j.config(), p);
    for (const LinearGroup& group : linear_groups(j.config())) {
      if (group.input != BlockInput::attention && group.input != BlockInput::mlp) continue;
      Tensor s = Tensor::empty({group.width});
      for (i64 k = 0; k < group.width; ++k) s.f32()[k] = k % 16 == 0 ? 1.0f / 30 : 1.0f;
      block.scale(group, s);
    }
  });
  j.finish();
  const Tensor before = logits_of(load_model(kShipped));
  source_ = dir / "out";
  const double rounded =
      mean_square(before, logits_of(made("quantize.rtn", {{"bits", 4}, {"symmetric", false}})));
  const double scaled = mean_square(before, logits_of(made("quantize.awq", {{"bits", 4}, {"tokens", 4000}})));
  EXPECT_LT(scaled, 0.5 * rounded);
}

TEST_F(ScalingStages, smoothing_stores_int8_rows) {
  const Model smooth = made("quantize.smooth", {{"tokens", 1000}});
  EXPECT_EQ(smooth.params.layers[0].wq.format().name(), "int8_row");
  EXPECT_LT(mean_square(logits_of(load_model(kShipped)), logits_of(smooth)), 0.01);
}

TEST_F(ScalingStages, a_killed_walk_over_whole_blocks_ends_in_the_same_artefact) {
  const auto bytes_of = [&](bool killed) {
    const fs::path dir = root_ / (killed ? "killed" : "whole");
    fs::create_directories(dir / "work"), fs::create_directories(dir / "out");
    const auto job = [&] {
      return Job({"test", kShipped, dir / "work", dir / "out", 0, {{"calib", "sums:train"}}});
    };
    CalibrationOptions o;
    o.tokens = 500;
    const auto change = [&](i64 layer, LayerParams& p, const BlockMoments& in) {
      Tensor w = p.w_up.decode_all(), norm = p.norm_mlp.to_f32();
      w.f32()[0] += in.at(BlockInput::mlp).mean_abs().f32()[0] + static_cast<float>(layer);
      norm.f32()[1] += 1;
      p.w_up = Weight(w), p.norm_mlp = norm;
    };
    if (killed) {
      Job j = job();
      EXPECT_THROW(walk_whole_blocks(j,
                                     calibration_of(o, j),
                                     [&](i64 layer, LayerParams& p, const BlockMoments& in) {
                                       if (layer == 2) throw job_error("killed");
                                       change(layer, p, in);
                                     }),
                   Error);
    }
    Job j = job();
    walk_whole_blocks(j, calibration_of(o, j), change);
    j.finish();
    return read_file(dir / "out/model.safetensors");
  };
  EXPECT_EQ(bytes_of(false), bytes_of(true));
}

}  // namespace
}  // namespace pare
