// A checkpoint brings back every bit; one that is broken, cut short or of another run is a clear error.
#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "io/safetensors.h"
#include "ref/ops.h"
#include "train/tiny.h"

namespace pare {
namespace {
using tiny::expect_error;
using tiny::expect_identical;

/// A model with moments, as if it had taken three steps.
struct Taken {
  explicit Taken(u64 seed, bool tied = false)
      : model(tiny::model(seed, tied)), grads(zero_params(model.config)) {
    tensors = trained_tensors(model.params, grads, model.config);
    adamw = adamw_state(tensors);
    adamw.steps = 3;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      adamw.m[i] = ref::normal(tensors[i].w.shape(), seed * 100 + i);
      adamw.v[i] = ref::normal(tensors[i].w.shape(), seed * 100 + 50 + i, 1e-6);
    }
    state.step = 3;
    state.tokens = 117;
    state.elapsed_s = 0.1 + 0.2;
    state.position = {2, 5};
    for (i64 i = 0; i < 3; ++i) {
      const double x = static_cast<double>(i) + 1;
      state.points.push_back({i, 1 / (3 * x), 1e-300 * x, 1e-3 / 7 * x, i == 1 ? 2.0 / 3 : -1, 0.01 * x, 39});
    }
  }
  void save(const std::filesystem::path& file, const std::string& key = "key") const {
    save_checkpoint(file, key, tensors, adamw, state);
  }
  TrainState load(const std::filesystem::path& file, const std::string& key = "key") {
    return load_checkpoint(file, key, tensors, adamw);
  }

  Model model;
  Params grads;
  std::vector<TrainedTensor> tensors;
  AdamWState adamw;
  TrainState state;
};

std::string written(const Taken& run, const std::filesystem::path& file) {
  run.save(file);
  return read_file(file);
}

TEST(Checkpoint, BringsBackEveryBit) {
  for (const bool tied : {false, true}) {
    const tiny::Folder folder;
    const Taken saved(1, tied);
    saved.save(folder / "c.safetensors");
    Taken loaded(2, tied);
    loaded.adamw.steps = 0;
    const TrainState state = loaded.load(folder / "c.safetensors");
    expect_identical(tiny::weights(loaded.model), tiny::weights(saved.model));
    expect_identical(loaded.adamw.m, saved.adamw.m);
    expect_identical(loaded.adamw.v, saved.adamw.v);
    EXPECT_EQ(loaded.adamw.steps, 3);
    EXPECT_EQ(state.step, 3);
    EXPECT_EQ(state.tokens, 117);
    EXPECT_EQ(state.elapsed_s, saved.state.elapsed_s);
    EXPECT_EQ(state.position.epoch, 2);
    EXPECT_EQ(state.position.index, 5);
    tiny::expect_same_points(state.points, saved.state.points);
    EXPECT_EQ(state.points[2].step_s, saved.state.points[2].step_s);
  }
}

TEST(Checkpoint, OfAnotherRunIsRefusedWithoutTouchingTheWeights) {
  const tiny::Folder folder;
  Taken(1).save(folder / "c.safetensors", "lr 0.1");
  Taken other(2);
  const auto before = tiny::weights(other.model);
  expect_error(Fault::user, {"c.safetensors", "another run", "lr 0.1", "lr 0.2"}, [&] {
    other.load(folder / "c.safetensors", "lr 0.2");
  });
  expect_identical(tiny::weights(other.model), before);
}

TEST(Checkpoint, OfAnotherModelIsRefusedNamingTheTensor) {
  const tiny::Folder folder;
  Taken(1).save(folder / "c.safetensors");
  Config c = tiny::config();
  c.F = 24;
  Taken wider(1);
  wider.model = {c, zero_params(c)};
  wider.grads = zero_params(c);
  wider.tensors = trained_tensors(wider.model.params, wider.grads, c);
  wider.adamw = adamw_state(wider.tensors);
  expect_error(Fault::user, {"c.safetensors", "gate_proj", "(20, 16)", "(24, 16)"}, [&] {
    wider.load(folder / "c.safetensors");
  });
  Taken(1, true).save(folder / "tied.safetensors");
  Taken untied(1);
  expect_error(
      Fault::user, {"tied.safetensors", "lm_head"}, [&] { untied.load(folder / "tied.safetensors"); });
}

TEST(Checkpoint, AFileOfSomethingElseIsRefused) {
  const tiny::Folder folder;
  Taken run(1);
  write_safetensors(folder / "model.safetensors", {{"w", Tensor::zeros({2})}}, {});
  expect_error(Fault::user, {"model.safetensors", "not a training checkpoint"}, [&] {
    run.load(folder / "model.safetensors");
  });
  expect_error(Fault::user, {"none.safetensors"}, [&] { run.load(folder / "none.safetensors"); });
}

TEST(Checkpoint, CutShortAnywhereIsAUserError) {
  const tiny::Folder folder;
  const std::string bytes = written(Taken(1), folder / "whole.safetensors");
  const std::size_t size = bytes.size();
  Rng rng(4);
  std::vector<std::size_t> lengths = {0, 1, 7, 8, 9, 100, size / 2, size - 4, size - 1};
  for (int i = 0; i < 40; ++i) lengths.push_back(static_cast<std::size_t>(rng.below(static_cast<i64>(size))));
  Taken run(2);
  for (const std::size_t length : lengths) {
    SCOPED_TRACE(length);
    std::ofstream(folder / "cut.safetensors", std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(length));
    expect_error(Fault::user, {"cut.safetensors"}, [&] { run.load(folder / "cut.safetensors"); });
  }
}

/// Any wrong byte of the header or the metadata: refused, or a number that reads as another number.
TEST(Checkpoint, AWrongByteInTheHeaderNeverCrashes) {
  const tiny::Folder folder;
  const std::string bytes = written(Taken(1), folder / "whole.safetensors");
  const std::size_t data =
      bytes.size() - static_cast<std::size_t>(3 * 4 * Taken(1).model.config.parameters());
  Rng rng(5);
  Taken run(2);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string broken = bytes;
    const std::size_t at = static_cast<std::size_t>(rng.below(static_cast<i64>(data)));
    broken[at] = static_cast<char>(rng.below(256));
    SCOPED_TRACE(fmt::format("byte {} is {}", at, static_cast<int>(broken[at])));
    std::ofstream(folder / "b.safetensors", std::ios::binary) << broken;
    try {
      run.load(folder / "b.safetensors");
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user) << e.what();
      EXPECT_NE(std::string(e.what()).find("b.safetensors"), std::string::npos) << e.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

/// Replaces a part of the stored JSON, keeping its length.
void expect_broken(const std::string& from, const std::string& to) {
  SCOPED_TRACE(to);
  const tiny::Folder folder;
  std::string bytes = written(Taken(1), folder / "b.safetensors");
  const std::size_t at = bytes.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  ASSERT_EQ(from.size(), to.size());
  bytes.replace(at, from.size(), to);
  std::ofstream(folder / "b.safetensors", std::ios::binary) << bytes;
  Taken run(2);
  expect_error(
      Fault::user, {"b.safetensors", "broken checkpoint"}, [&] { run.load(folder / "b.safetensors"); });
}

TEST(Checkpoint, NumbersThatContradictEachOtherAreRefused) {
  expect_broken(R"(\"step\":3)", R"(\"step\":4)");
  expect_broken(R"(\"adamw_steps\":3)", R"(\"adamw_steps\":2)");
  expect_broken(R"(\"step\":3)", R"(\"stop\":3)");
  expect_broken(R"(\"tokens\":117)", R"(\"tokens\":[1])");
}

TEST(Checkpoint, ReplacesTheFileInOneStep) {
  const tiny::Folder folder;
  Taken(1).save(folder / "c.safetensors");
  const SafeTensors open = SafeTensors::open(folder / "c.safetensors");  // the old file, still mapped
  Taken(2).save(folder / "c.safetensors");
  EXPECT_TRUE(identical(open.tensor("w.model.embed_tokens.weight"), tiny::weights(Taken(1).model)[0]));
  Taken loaded(3);
  loaded.load(folder / "c.safetensors");
  expect_identical(tiny::weights(loaded.model), tiny::weights(Taken(2).model));
  i64 files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator((folder / "c.safetensors").parent_path()))
    ++files;
  EXPECT_EQ(files, 1) << "a temporary file is left";
}

}  // namespace
}  // namespace pare
