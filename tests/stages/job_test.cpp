// A job changes the block weights and nothing else, keeps each one as soon as it is done, and its artefact
// loads.
#include "stages/job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/signals.h"
#include "model/load.h"
#include "stages/stage.h"
#include "weights/float_group.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kModel = fs::path(PARE_TEST_DATA) / "models/llama-gqa-bf16-sharded";

class JobTest : public ::testing::Test {
 protected:
  JobTest() : root_(temporary_beside(fs::temp_directory_path() / "job")) {
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
  }
  ~JobTest() override {
    clear_stop();
    fs::remove_all(root_);
  }
  Job job(const fs::path& source = kModel) {
    return Job({"test", source, root_ / "work", root_ / "out", 0, {}});
  }
  fs::path run(const std::string& stage, const json& options, const fs::path& source = kModel) {
    Job j = job(source);
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), j);
    j.finish();
    return root_ / "out";
  }
  fs::path root_;
};

/// Root mean square of the difference over that of the original, over all block weights.
double relative_error(const fs::path& original, const fs::path& changed) {
  const Model a = load_model(original), b = load_model(changed);
  double error = 0, power = 0;
  const auto add = [&](const Weight& x, const Weight& y) {
    const Tensor p = x.decode_all(), q = y.decode_all();
    for (i64 i = 0; i < p.count(); ++i) {
      error += std::pow(p.f32()[i] - q.f32()[i], 2);
      power += std::pow(p.f32()[i], 2);
    }
  };
  for (std::size_t l = 0; l < a.params.layers.size(); ++l) {
    add(a.params.layers[l].wq, b.params.layers[l].wq);
    add(a.params.layers[l].w_down, b.params.layers[l].w_down);
  }
  return std::sqrt(error / power);
}

TEST_F(JobTest, LinearsAreTheMatricesOfTheBlocks) {
  const Job j = job();
  const auto names = j.linears();
  EXPECT_EQ(static_cast<i64>(names.size()), 7 * j.config().L);
  for (const std::string& name : names) {
    EXPECT_TRUE(name.starts_with("model.layers.") && name.ends_with("_proj.weight")) << name;
    EXPECT_EQ(name.find("norm"), std::string::npos) << name;
  }
}

TEST_F(JobTest, WhatNoStageTouchesIsCopiedByteForByte) {
  const fs::path out = run("quantize.nf4", {});
  const TensorFiles before = TensorFiles::open(kModel), after = TensorFiles::open(out);
  i64 copied = 0;
  for (const std::string& name : before.names()) {
    if (!after.has(name)) continue;
    const Tensor a = before.bytes(name), b = after.bytes(name);
    ASSERT_EQ(a.count(), b.count()) << name;
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.count())), 0) << name;
    EXPECT_EQ(before.info(name).dtype, after.info(name).dtype);
    ++copied;
  }
  EXPECT_GT(copied, 0);
  EXPECT_TRUE(fs::exists(out / "generation_config.json"));
  EXPECT_FALSE(fs::exists(out / "model.safetensors.index.json"));
}

TEST_F(JobTest, EveryQuantisationLoadsAndStaysNearTheSource) {
  struct Case {
    const char* stage;
    json options;
    double low, high;
  };
  for (const Case& c :
       {Case{"quantize.rtn", {{"bits", 8}}, 1e-4, 0.01},
        Case{"quantize.rtn", {{"bits", 4}}, 0.02, 0.15},
        Case{"quantize.rtn", {{"bits", 2}, {"group", "row"}}, 0.2, 1.0},
        Case{"quantize.rtn", {{"bits", 4}, {"symmetric", false}}, 0.02, 0.15},
        Case{"quantize.nf4", json::object(), 0.02, 0.15},
        Case{"quantize.nf4", {{"double_quant", true}}, 0.02, 0.15},
        Case{"quantize.fp4", json::object(), 0.02, 0.2},
        Case{"quantize.int8", json::object(), 1e-4, 0.02},
        Case{"quantize.float", {{"format", "fp8_tensor"}}, 1e-3, 0.04},
        Case{"quantize.float", {{"format", "fp8_row"}}, 1e-3, 0.04},
        Case{"quantize.float", {{"format", "fp8_block"}}, 1e-3, 0.04},
        Case{"quantize.float", {{"format", "mxfp8"}}, 1e-3, 0.04},
        Case{"quantize.float", {{"format", "mxfp4"}}, 0.05, 0.2},
        Case{"quantize.float", {{"format", "nvfp4"}}, 0.05, 0.15},
        Case{"prune.magnitude", {{"sparsity", 0.0}}, -1, 1e-12},
        Case{"prune.magnitude", {{"sparsity", 0.5}}, 0.05, 0.6},
        Case{"prune.magnitude", {{"sparsity", 0.5}, {"scope", "global"}, {"store", "dense"}}, 0.05, 0.6},
        Case{"prune.magnitude", {{"pattern", "2:4"}}, 0.1, 0.7},
        Case{"prune.magnitude", {{"sparsity", 1.0}}, 1.0, 1.0}}) {
    fs::remove_all(root_ / "work");
    fs::remove_all(root_ / "out");
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
    const double error = relative_error(kModel, run(c.stage, c.options));
    EXPECT_GE(error, c.low) << c.stage << c.options.dump();
    EXPECT_LE(error, c.high) << c.stage << c.options.dump();
  }
}

TEST_F(JobTest, OneScaleOfNvfp4ServesWhatRunsTogether) {
  const Model m = load_model(run("quantize.float", {{"format", "nvfp4"}}));
  const auto global = [](const Weight& w) {
    return dynamic_cast<const FloatGroupWeight&>(w.format()).parts().global.f32()[0];
  };
  for (const LayerParams& y : m.params.layers) {
    EXPECT_EQ(global(y.wq), global(y.wk));
    EXPECT_EQ(global(y.wq), global(y.wv));
    EXPECT_EQ(global(y.w_gate), global(y.w_up));
    EXPECT_NE(global(y.w_gate), global(y.w_down));
  }
}

TEST_F(JobTest, AWidthWithoutWholeBlocksOfSmallFloatsStaysDense) {
  const fs::path stories = fs::path(PARE_SHARED) / "fixtures/models/stories260K-hf";  // F is 172
  if (!fs::exists(stories)) GTEST_SKIP() << stories << " is not here";
  const Model before = load_model(stories),
              m = load_model(run("quantize.float", {{"format", "mxfp4"}}, stories));
  EXPECT_EQ(m.params.layers[0].w_up.format().name(), "mxfp4");
  const Tensor down = m.params.layers[0].w_down.dense(), want = before.params.layers[0].w_down.dense();
  ASSERT_TRUE(down.defined());
  ASSERT_EQ(down.dtype(), want.dtype());
  EXPECT_EQ(std::memcmp(down.raw(), want.raw(), static_cast<std::size_t>(want.bytes())), 0);
}

TEST_F(JobTest, AStopCostsNothingThatWasDoneAndTheResultHasTheSameBits) {
  i64 changed = 0;
  const auto change = [&](const std::string&, const Weight& w) {
    if (++changed == 5) request_stop(15);
    Tensor t = w.decode_all();
    for (i64 i = 0; i < t.count(); ++i) t.f32()[i] *= 2;
    return Weight(t);
  };
  {
    Job j = job();
    j.add_series("error", 1, 0.25);
    EXPECT_THROW(j.each_linear(change), Error);
  }
  EXPECT_EQ(changed, 5);
  clear_stop();
  // A half-written entry is made again.
  const std::string torn = job().linears()[0];
  write_file_atomic(root_ / "work/tensors" / (torn + ".safetensors"), "torn");
  Job j = job();
  changed = 100;
  j.each_linear(change);
  j.finish();
  EXPECT_EQ(changed - 100, static_cast<i64>(j.linears().size()) - 4);
  ASSERT_EQ(j.series().size(), 1u);
  EXPECT_EQ(j.series()[0].value, 0.25);
  const Model a = load_model(kModel), b = load_model(root_ / "out");
  const Tensor x = a.params.layers[0].wq.decode_all(), y = b.params.layers[0].wq.decode_all();
  for (i64 i = 0; i < x.count(); ++i) ASSERT_EQ(y.f32()[i], 2 * x.f32()[i]);
}

TEST_F(JobTest, WhatIsPackedIsNotPackedAgain) {
  const fs::path packed = root_ / "packed";
  fs::rename(run("quantize.nf4", {}), packed);
  fs::create_directories(root_ / "out");
  fs::remove_all(root_ / "work");
  fs::create_directories(root_ / "work");
  try {
    run("quantize.rtn", {}, packed);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_NE(std::string(e.what()).find("is packed already (codebook4)"), std::string::npos) << e.what();
  }
}

TEST_F(JobTest, PrunedDenseWeightsKeepTheirZerosWhenQuantised) {
  const fs::path pruned = root_ / "pruned";
  fs::rename(run("prune.magnitude", {{"pattern", "2:4"}, {"store", "dense"}}), pruned);
  fs::create_directories(root_ / "out");
  fs::remove_all(root_ / "work");
  fs::create_directories(root_ / "work");
  const Model m = load_model(run("quantize.rtn", {{"bits", 4}}, pruned));
  const Tensor w = m.params.layers[0].w_up.decode_all();
  i64 zeros = 0;
  for (i64 i = 0; i < w.count(); ++i) zeros += w.f32()[i] == 0;
  EXPECT_GE(zeros * 2, w.count());
}

TEST_F(JobTest, NormsAndAnUntiedHeadAreKeptThroughAKill) {
  const fs::path tied = fs::path(PARE_TEST_DATA) / "models/qwen2-tied";
  const Model before = load_model(tied);
  Tensor norm = before.params.norm_out.to_f32().clone(), head = before.params.embed.decode_all();
  norm.f32()[0] += 1, head.f32()[0] += 1;
  {
    Job killed = job(tied);
    killed.change_config({{"tie_word_embeddings", false}});
    killed.write("model.norm.weight", norm);
  }
  Job j = job(tied);
  j.change_config({{"tie_word_embeddings", false}});
  EXPECT_TRUE(j.written("model.norm.weight"));
  j.write("lm_head.weight", Weight(head));
  j.finish();
  const Model after = load_model(root_ / "out");
  EXPECT_FALSE(after.config.tied);
  EXPECT_EQ(after.params.norm_out.f32()[0], norm.f32()[0]);
  EXPECT_EQ(after.params.head.decode_all().f32()[0], head.f32()[0]);
  EXPECT_EQ(after.params.embed.decode_all().f32()[0], head.f32()[0] - 1);
}

TEST_F(JobTest, MissingSourceAndDataSayWhatToAdd) {
  Job j({"train.x", {}, root_ / "work", root_ / "out", 0, {}});
  EXPECT_THROW(j.config(), Error);
  try {
    j.data("calib");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "train.x: needs data, and the recipe names none; add `data: {calib: …}`");
  }
}

TEST_F(JobTest, a_change_of_the_config_may_remove_a_key) {
  Job j = job();
  j.change_config({{"pare", {{"online_hadamard", {{"mlp", true}, {"qk", true}}}}}});
  j.change_config({{"pare", {{"online_hadamard", {{"mlp", nullptr}}}}}, {"bos_token_id", nullptr}});
  j.each_linear([](const std::string&, const Weight& w) { return w; });
  j.finish();
  const json made = read_json(root_ / "out" / "config.json");
  EXPECT_EQ(made["pare"], json({{"online_hadamard", {{"qk", true}}}}));
  EXPECT_FALSE(made.contains("bos_token_id"));
  EXPECT_TRUE(read_json(kModel / "config.json").contains("bos_token_id"));
}

TEST_F(JobTest, rounding_a_pruned_model_may_leave_its_zeros_out) {
  const fs::path pruned = root_ / "pruned";
  run("prune.magnitude", {{"sparsity", 0.6}, {"store", "dense"}});
  fs::rename(root_ / "out", pruned);
  const auto made = [&](const std::string& store) {
    fs::remove_all(root_ / "work"), fs::remove_all(root_ / "out");
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    return load_model(run("quantize.rtn", {{"bits", 4}, {"group", "64"}, {"store", store}}, pruned)).params;
  };
  const Weight dense = made("dense").layers[1].w_up, mask = made("mask").layers[1].w_up;
  EXPECT_EQ(dense.format().name(), "int4_g64");
  EXPECT_EQ(mask.format().name(), "sparse_int4_g64");
  EXPECT_LT(mask.bytes(), dense.bytes());
  const Tensor a = dense.decode_all(), b = mask.decode_all();
  EXPECT_TRUE(std::equal(a.f32(), a.f32() + a.count(), b.f32()));
}

}  // namespace
}  // namespace pare
