// A learned rotation is the same function, loses less after rounding than the random one it starts from, and
// a killed learning ends in the same artefact.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/signals.h"
#include "measure/score.h"
#include "model/fixture.h"
#include "refusal.h"
#include "stages/stage.h"
#include "text/tokenizer.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kStories = fs::path(PARE_SHARED) / "data/tinystories/TinyStories-valid-excerpt.txt";

class RotateLearned : public ::testing::Test {
 protected:
  RotateLearned() : root_(temporary_beside(fs::temp_directory_path() / "learned")) { fresh(); }
  ~RotateLearned() override {
    clear_stop();
    fs::remove_all(root_);
  }
  void fresh() {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
  }
  /// The artefact, left in the folder `to`; the points of its curves.
  std::vector<CurvePoint> run(const std::string& stage,
                              const fs::path& source,
                              const json& options,
                              const std::string& calib,
                              const fs::path& to) {
    Job job({stage, source, root_ / "work", root_ / "out", 5, {{"calib", calib}}});
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), job);
    job.finish();
    fs::remove_all(to);
    fs::create_directories(to.parent_path());
    fs::rename(root_ / "out", to);
    fs::remove_all(root_ / "work");
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
    return job.series();
  }
  fs::path root_;
};

/// Sequences of the stories that no learning has seen: the last 2000 tokens.
std::vector<std::vector<i32>> unseen() {
  const std::vector<i32> ids = Tokenizer::load(fixture::stories())->encode(read_file(kStories));
  std::vector<std::vector<i32>> out;
  for (std::size_t at = ids.size() - 2000; at < ids.size(); at += 250)
    out.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(at),
                     ids.begin() + static_cast<std::ptrdiff_t>(at + 250));
  return out;
}

TEST_F(RotateLearned, LosesLessAfterRoundingThanTheRandomRotation) {
  if (!fs::exists(fixture::stories()) || !fs::exists(kStories))
    GTEST_SKIP() << "the shared folder with stories260K-hf is not here: learned rotations are NOT compared";
  // The text without its last 2000 tokens.
  const std::string text = read_file(kStories);
  const fs::path calib = root_.string() + ".txt";
  write_file_atomic(calib, text.substr(0, text.size() * 3 / 4));
  const fs::path random = root_.string() + "-random", learned = root_.string() + "-learned",
                 packed = root_.string() + "-packed";
  const json rounding = {{"bits", 3}, {"group", "row"}};
  json options = rounding;
  options.update(
      {{"steps", 40}, {"batch_tokens", 512}, {"tokens", 8192}, {"length", 256}, {"check_every", 20}});
  const auto series = run("rotate.learned", fixture::stories(), options, calib, learned);
  run("rotate.hadamard", fixture::stories(), {}, calib, random);

  const Model dense = load_model(fixture::stories());
  const auto kl_of = [&](const fs::path& rotated) {
    EXPECT_LE(divergence(dense, load_model(rotated), unseen(), {}).kl_mean, 1e-6) << "another function";
    run("quantize.rtn", rotated, rounding, "", packed);
    return divergence(dense, load_model(packed), unseen(), {}).kl_mean;
  };
  const double before = kl_of(random), after = kl_of(learned);
  RecordProperty("random", std::to_string(before));
  RecordProperty("learned", std::to_string(after));
  EXPECT_LT(after, before);
  double first = 0, best = 1e9;
  for (const CurvePoint& p : series)
    if (p.name == "rotation.held_out_kl") {
      if (p.step == 0) first = p.value;
      best = std::min(best, p.value);
    }
  EXPECT_LT(best, 0.95 * first);
  for (const fs::path& made : {random, learned, packed, calib}) fs::remove_all(made);
}

TEST_F(RotateLearned, KeepsTheFunctionOfLayerNormsAndStartsAtTheRandomRotation) {
  // Without steps it is rotate.hadamard, but for rounding of the matrices; phi has layer norms and biases.
  const fs::path text = root_.string() + ".txt", none = root_.string() + "-none",
                 some = root_.string() + "-some";
  fs::path model = root_.string() + "-model";
  fs::create_directories(model);
  for (const auto& entry : fs::directory_iterator(fixture::dir("phi")))
    if (entry.path().filename() != "golden.safetensors")
      fs::copy(entry.path(), model / entry.path().filename());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(fs::path(PARE_SOURCE) / "models/sums-3m" / name, model / name);
  std::string digits;  // ids of single characters lie in the vocabulary of 320
  for (int i = 0; i < 900; ++i) digits += static_cast<char>('0' + i * i % 10);
  write_file_atomic(text, digits);
  const json options = {
      {"tokens", 400}, {"length", 32}, {"batch_tokens", 64}, {"check_every", 1}, {"bits", 3}};
  const auto with_steps = [&](i64 steps) {
    json o = options;
    o["steps"] = steps;
    return o;
  };
  std::vector<i32> ids;
  for (i32 i = 0; i < 30; ++i) ids.push_back(i * 7 % 300);
  const Tensor before = fixture::logits_of(load_model(model), ids);
  for (const auto& [steps, to] : {std::pair<i64, fs::path>{0, none}, {3, some}}) {
    run("rotate.learned", model, with_steps(steps), text, to);
    const Tensor after = fixture::logits_of(load_model(to), ids);
    EXPECT_LE(fixture::max_difference(before.f32(), after.f32(), before.count()),
              1e-4 * fixture::max_abs(before));
  }
  const Weight a = load_model(none).params.layers[0].w_up;
  run("rotate.hadamard", model, {}, text, some);
  const Weight b = load_model(some).params.layers[0].w_up;
  EXPECT_LE(fixture::max_difference(a.decode_all().f32(), b.decode_all().f32(), a.rows() * a.cols()), 1e-6);
  for (const fs::path& made : {none, some, model, text}) fs::remove_all(made);
}

TEST_F(RotateLearned, AKilledLearningEndsInTheSameArtefact) {
  const fs::path model = fs::path(PARE_SOURCE) / "models/sums-3m", whole = root_.string() + "-whole",
                 cut = root_.string() + "-cut";
  const json options = {
      {"tokens", 300}, {"batch_tokens", 64}, {"steps", 3}, {"check_every", 2}, {"group", "row"}};
  run("rotate.learned", model, options, "sums:train", whole);
  bool stopped = false;
  for (int tries = 0; tries < 5 && !stopped; ++tries) {
    fresh();
    std::thread killer([&] {  // as soon as the first step is under way
      while (!fs::exists(root_ / "out/model.safetensors") && !fs::exists(cut)) {
        if (fs::exists(root_ / "work/series.jsonl") &&
            read_file(root_ / "work/series.jsonl").find("rotation.kl") != std::string::npos)
          return request_stop(15);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    try {
      run("rotate.learned", model, options, "sums:train", cut);
    } catch (const Error&) {
      stopped = fs::exists(root_ / "work/rotation.safetensors");
    }
    killer.join();
    clear_stop();
  }
  EXPECT_TRUE(stopped);
  run("rotate.learned", model, options, "sums:train", cut);
  EXPECT_EQ(sha256_file(cut / "model.safetensors"), sha256_file(whole / "model.safetensors"));
  // A state that cannot be read costs time only.
  write_file_atomic(root_ / "work/rotation.safetensors", "torn");
  run("rotate.learned", model, options, "sums:train", cut);
  EXPECT_EQ(sha256_file(cut / "model.safetensors"), sha256_file(whole / "model.safetensors"));
  fs::remove_all(whole);
  fs::remove_all(cut);
}

TEST_F(RotateLearned, NeedsTwoSequences) {
  const std::string message = refusal([&] {
    run("rotate.learned",
        fs::path(PARE_SOURCE) / "models/sums-3m",
        {{"tokens", 5}},
        "sums:train",
        root_ / "x");
  });
  EXPECT_NE(message.find("expected 2 or more"), std::string::npos) << message;
}

}  // namespace
}  // namespace pare
