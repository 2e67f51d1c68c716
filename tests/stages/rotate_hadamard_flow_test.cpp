// A model rotated by the stage has the logits it had, on disk as in memory, in every family; its inputs have
// no outliers; a killed job ends in the same artefact.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/signals.h"
#include "model/fixture.h"
#include "model/gguf_export.h"
#include "model/hf_export.h"
#include "refusal.h"
#include "stages/walk_blocks.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

constexpr double kLogits = 1e-4;  // of the largest logit

class RotateHadamard : public ::testing::Test {
 protected:
  RotateHadamard() : root_(temporary_beside(fs::temp_directory_path() / "rotate")) { fresh(); }
  ~RotateHadamard() override {
    clear_stop();
    fs::remove_all(root_);
  }
  void fresh() {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
  }
  /// A new artefact, in place of an older one.
  fs::path run(const fs::path& source, const json& options, u64 seed = 5) {
    fresh();
    resume(source, options, seed);
    return root_ / "out";
  }
  void resume(const fs::path& source, const json& options, u64 seed = 5) {
    Job job({"rotate.hadamard", source, root_ / "work", root_ / "out", seed, {}});
    const StageInfo& info = find_stage("rotate.hadamard");
    info.run(info.canonical(options, "test"), job);
    job.finish();
  }
  fs::path root_;
};

std::vector<i32> some_ids(const Config& c, i64 n = 40) {
  std::vector<i32> ids;
  Rng rng(3);
  for (i64 i = 0; i < n; ++i) ids.push_back(static_cast<i32>(rng.below(c.V)));
  return ids;
}

/// Largest difference of logits over the largest logit.
double difference(const fs::path& a, const fs::path& b) {
  const Model x = load_model(a), y = load_model(b);
  const std::vector<i32> ids = some_ids(x.config);
  const Tensor before = fixture::logits_of(x, ids), after = fixture::logits_of(y, ids);
  return fixture::max_difference(before.f32(), after.f32(), before.count()) / fixture::max_abs(before);
}

std::vector<fs::path> all_models() {
  std::vector<fs::path> out;
  for (const std::string& name : fixture::random_models()) out.push_back(fixture::dir(name));
  out.push_back(fs::path(PARE_SOURCE) / "models/sums-3m");
  if (fs::exists(fixture::stories()))
    out.push_back(fixture::stories());
  else
    GTEST_LOG_(WARNING) << "the shared folder with stories260K-hf is not here: it is NOT rotated";
  return out;
}

TEST_F(RotateHadamard, LogitsStayInEveryFamily) {
  for (const fs::path& model : all_models())
    for (const json& options :
         {json::object(), json{{"r1", false}}, json{{"r2", false}}, json{{"r3", true}, {"r4", true}}}) {
      EXPECT_LE(difference(model, run(model, options)), kLogits) << model << options.dump();
      const Config before = read_config(model), after = read_config(root_ / "out");
      EXPECT_EQ(after.tied, before.tied && options.contains("r1")) << model;
    }
}

TEST_F(RotateHadamard, SeedsGiveOtherWeightsAndTheSameFunction) {
  const fs::path model = fixture::dir("qwen2-tied");
  const std::string a = sha256_file(run(model, {}, 1) / "model.safetensors");
  EXPECT_EQ(a, sha256_file(run(model, {}, 1) / "model.safetensors"));
  EXPECT_NE(a, sha256_file(run(model, {}, 2) / "model.safetensors"));
  EXPECT_LE(difference(model, root_ / "out"), kLogits);
}

TEST_F(RotateHadamard, WeightsAreStoredAsAskedFor) {
  const fs::path model = fixture::dir("llama-gqa-bf16-sharded");
  const Model exact = load_model(run(model, {}));
  EXPECT_EQ(exact.params.layers[0].wq.format().name(), "f32");
  EXPECT_EQ(exact.config.raw.value("dtype", ""), "float32");
  EXPECT_EQ(exact.config.raw.value("torch_dtype", ""), "float32");
  const Model rounded = load_model(run(model, {{"stored", "source"}}));
  EXPECT_EQ(rounded.params.layers[0].wq.format().name(), "bf16");
  EXPECT_EQ(rounded.params.head.format().name(), "bf16");
  EXPECT_LE(difference(model, root_ / "out"), 0.05);
}

TEST_F(RotateHadamard, AKilledJobEndsInTheSameArtefact) {
  const fs::path model = fixture::dir("phi");
  const std::string whole = sha256_file(run(model, {}) / "model.safetensors");
  fresh();
  request_stop(15);
  EXPECT_THROW(resume(model, {}), Error);
  clear_stop();
  EXPECT_EQ(sha256_file(run(model, {}) / "model.safetensors"), whole);
  // What was kept before is taken over: only the missing ones are made.
  fresh();
  {
    Job killed({"rotate.hadamard", model, root_ / "work", root_ / "out", 5, {}});
    const Model other = load_model(model);
    killed.write("model.layers.0.mlp.fc1.weight", other.params.layers[0].w_up);
  }
  resume(model, {});
  const Model mixed = load_model(root_ / "out"), plain = load_model(model);
  EXPECT_EQ(fixture::max_difference(mixed.params.layers[0].w_up.decode_all().f32(),
                                    plain.params.layers[0].w_up.decode_all().f32(),
                                    plain.params.layers[0].w_up.rows() * plain.params.layers[0].w_up.cols()),
            0);
}

/// E[x⁴] / E[x²]² of all inputs of the attention.
double kurtosis(const fs::path& model) {
  const Model m = load_model(model);
  Acts acts;
  acts.keep = Keep::everything;
  forward(m, pack_sequences({some_ids(m.config, 200)}), acts);
  double squares = 0, fourths = 0;
  i64 n = 0;
  for (const LayerActs& s : acts.layers)
    for (const float x : s.a.span<float>()) squares += std::pow(x, 2), fourths += std::pow(x, 4), ++n;
  return fourths / squares * static_cast<double>(n) / squares;
}

TEST_F(RotateHadamard, InputsWithOutliersBecomeNormal) {
  for (const char* name : {"llama-gqa-bf16-sharded", "phi"}) {
    Model m = load_model(fixture::dir(name));
    m.params = dense_copy(m.params, m.config);
    for (const i64 d : {3, 17, 40, 58}) {
      float* column = m.params.embed.dense_f32().f32() + d;
      for (i64 v = 0; v < m.config.V; ++v) column[v * m.config.D] *= 20;
    }
    const fs::path model = root_.string() + "-outliers";
    fs::create_directories(model);
    save_dense_model(m, DType::f32, model);
    EXPECT_GT(kurtosis(model), 9) << name;
    EXPECT_NEAR(kurtosis(run(model, {{"r2", false}})), 3, 0.6) << name;
    EXPECT_LE(difference(model, root_ / "out"), kLogits);
    fs::remove_all(model);
  }
}

TEST_F(RotateHadamard, WalksSeeTheTransformedInputsOfDown) {
  const Model m = load_model(run(fixture::dir("qwen2-tied"), {{"r4", true}}));
  const fs::path walk = root_.string() + "-walk";
  fs::create_directories(walk / "work");
  fs::create_directories(walk / "out");
  Calibration calibration;
  calibration.sequences = {some_ids(m.config, 30)};
  calibration.tokens = 30;
  Acts acts;
  acts.keep = Keep::everything;
  forward(m, pack_sequences(calibration.sequences), acts);
  Job job({"test", root_ / "out", walk / "work", walk / "out", 0, {}});
  walk_weights(
      job, calibration, false, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        if (name == "model.layers.1.mlp.down_proj.weight") {
          Gram want(m.config.F);
          want.add(name, acts.layers[1].h);
          const Tensor a = inputs.h.matrix(), b = want.matrix();
          EXPECT_LE(fixture::max_difference(a.f32(), b.f32(), a.count()), 1e-4 * fixture::max_abs(b));
        }
        return w;
      });
  fs::remove_all(walk);
}

TEST_F(RotateHadamard, TransformsAreDoneOnceAndOnlyHere) {
  const fs::path once = root_.string() + "-once";
  fs::rename(run(fixture::dir("qwen3"), {{"r3", true}, {"r4", true}}), once);
  EXPECT_NE(refusal([&] { run(once, {{"r4", true}}); }).find("leave out r4"), std::string::npos);
  EXPECT_NE(refusal([&] { run(once, {{"r3", true}}); }).find("leave out r3"), std::string::npos);
  EXPECT_LE(difference(once, run(once, {})), kLogits);
  EXPECT_TRUE(read_config(root_ / "out").hadamard_mlp && read_config(root_ / "out").hadamard_qk);
  const Model m = load_model(once);
  for (const auto& write : {std::function<void()>([&] { export_hf(m, once, {}, root_ / "export"); }),
                            std::function<void()>([&] { export_gguf(m, once, {}, root_ / "export.gguf"); })})
    EXPECT_NE(refusal(write).find("rotate it without r3 and r4"), std::string::npos);
  fs::remove_all(once);
}

TEST_F(RotateHadamard, RefusesPackedWeights) {
  const fs::path packed = root_.string() + "-packed";
  fs::create_directories(packed / "work");
  fs::create_directories(packed / "out");
  Job job({"test", fixture::dir("qwen3"), packed / "work", packed / "out", 0, {}});
  const StageInfo& info = find_stage("quantize.nf4");
  info.run(info.canonical({}, "test"), job);
  job.finish();
  EXPECT_NE(refusal([&] { run(packed / "out", {}); }).find("packed already"), std::string::npos);
  fs::remove_all(packed);
}

}  // namespace
}  // namespace pare
