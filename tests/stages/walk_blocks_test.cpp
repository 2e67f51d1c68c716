// A walk through the blocks sees exactly the inputs that the model's forward pass has, through what was
// changed before; a killed walk goes on where it was; stages built on it leave less error than rounding does.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/signals.h"
#include "compress/gptq.h"
#include "compress/shifted_target.h"
#include "model/forward.h"
#include "model/load.h"
#include "refusal.h"
#include "stages/calibrated.h"
#include "weights/int_group.h"
#include "weights/sparse_int.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kModels = fs::path(PARE_TEST_DATA) / "models";
const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class WalkTest : public ::testing::Test {
 protected:
  WalkTest() : root_(temporary_beside(fs::temp_directory_path() / "walk")) {
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
  }
  ~WalkTest() override {
    clear_stop();
    fs::remove_all(root_);
  }
  Job job(const fs::path& source, const std::string& calib = "sums:train") {
    return Job({"test", source, root_ / "work", root_ / "out", 0, {{"calib", calib}}});
  }
  fs::path root_;
};

Calibration random_ids(const Config& c, const std::vector<i64>& lengths) {
  Calibration out;
  Rng rng(3);
  for (const i64 length : lengths) {
    std::vector<i32>& ids = out.sequences.emplace_back();
    for (i64 t = 0; t < length; ++t) ids.push_back(static_cast<i32>(rng.below(c.V)));
    out.tokens += length;
  }
  return out;
}

class EveryFamily : public WalkTest, public testing::WithParamInterface<const char*> {};

TEST_P(EveryFamily, sees_the_inputs_of_the_forward_pass) {
  const fs::path source = kModels / GetParam();
  const Model model = load_model(source);
  const Calibration calibration = random_ids(model.config, {17, 30, 5});
  Acts acts;
  acts.keep = Keep::everything;
  forward(model, pack_sequences(calibration.sequences), acts);
  Job j = job(source);
  std::set<std::string> seen;
  walk_weights(
      j, calibration, false, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        seen.insert(name);
        const LayerActs& s = acts.layers[static_cast<std::size_t>(std::stoll(name.substr(13)))];
        const bool parallel = model.config.parallel_block;
        const Tensor& x = name.find("q_proj") != name.npos || name.find("k_proj") != name.npos ||
                                  name.find("v_proj") != name.npos
                              ? s.a
                          : name.find("self_attn") != name.npos                             ? s.o
                          : name.find("down") != name.npos || name.find("fc2") != name.npos ? s.h
                          : parallel                                                        ? s.a
                                                                                            : s.b;
        Gram expected(w.cols());
        expected.add(name, x);
        const Tensor a = inputs.h.matrix(), b = expected.matrix();
        EXPECT_EQ(inputs.h.tokens(), 52);
        for (i64 i = 0; i < a.count(); ++i)
          EXPECT_NEAR(a.f32()[i], b.f32()[i], 1e-4 * (1 + std::abs(b.f32()[i]))) << name;
        return w;
      });
  const std::vector<std::string> all = j.linears();
  EXPECT_EQ(seen, std::set<std::string>(all.begin(), all.end()));
}

TEST_P(EveryFamily, swept_integers_lose_less_than_rounded_ones) {
  const fs::path source = kModels / GetParam();
  Job j = job(source);
  double swept = 0, rounded = 0;
  IntSweepOptions o;
  o.format = {3, 32, true};
  o.least_range = 1;
  o.order = ColumnOrder::grouped;
  walk_weights(j,
               random_ids(j.config(), {64, 64, 64}),
               false,
               [&](const std::string&, const Weight& w, const InputMoments& inputs) {
                 const Tensor dense = w.decode_all(), h = inputs.h.matrix();
                 const double power = gram_loss(dense, Tensor::zeros(dense.shape()), h);
                 const Weight q = sweep_to_integers(dense, h, o).weight;
                 swept += gram_loss(dense, q.decode_all(), h) / power;
                 rounded += gram_loss(dense, quantize_int_group(dense, o.format).decode_all(), h) / power;
                 return q;
               });
  EXPECT_LT(swept, rounded);
  j.finish();
  const Model packed = load_model(root_ / "out");
  Acts acts;
  forward(packed, pack_sequences(random_ids(packed.config, {9}).sequences), acts);
  for (i64 i = 0; i < acts.out.count(); ++i) ASSERT_TRUE(std::isfinite(acts.out.f32()[i]));
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    EveryFamily,
    testing::Values("mistral-swa", "llama-gqa-bf16-sharded", "qwen2-tied", "phi", "llama31-rope", "qwen3"),
    [](const auto& p) {
      std::string name = p.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_F(WalkTest, goes_through_what_was_changed_before) {
  const fs::path source = kModels / "llama31-rope";
  Job j = job(source);
  walk_weights(j,
               random_ids(j.config(), {20}),
               false,
               [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
                 if (name.find("v_proj") != name.npos) return Weight(Tensor::zeros({w.rows(), w.cols()}));
                 if (name.find("o_proj") != name.npos)
                   for (i64 k = 0; k < inputs.h.width(); ++k)
                     EXPECT_EQ(inputs.h.diagonal().f32()[k], 0) << name;
                 return w;
               });
}

TEST_F(WalkTest, a_killed_walk_ends_in_the_same_artefact) {
  const fs::path source = kModels / "qwen2-tied";
  const auto change = [](const std::string&, const Weight& w, const InputMoments& inputs) {
    IntSweepOptions o;
    o.format = {4, 32, true};
    return sweep_to_integers(w.decode_all(), inputs.h.matrix(), o).weight;
  };
  const auto bytes_of = [&](const std::vector<i64>& stops) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    for (const i64 stop : stops) {
      Job j = job(source);
      i64 made = 0;
      EXPECT_THROW(walk_weights(j,
                                random_ids(j.config(), {40, 13}),
                                false,
                                [&](const std::string& n, const Weight& w, const InputMoments& g) {
                                  if (made++ == stop) throw job_error("killed");
                                  return change(n, w, g);
                                }),
                   Error);
    }
    Job j = job(source);
    walk_weights(j, random_ids(j.config(), {40, 13}), false, change);
    j.finish();
    return read_file(root_ / "out" / "model.safetensors");
  };
  EXPECT_EQ(bytes_of({}), bytes_of({0, 2, 5, 1}));
}

TEST_F(WalkTest, hidden_made_twice_gives_the_same_bits_as_hidden_kept) {
  const auto made = [&](const std::string& model, i64 kept_bytes) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    Job j = job(kModels / model);
    const Calibration c = random_ids(j.config(), std::vector<i64>(40, 200));  // two chunks
    walk_weights(
        j,
        c,
        true,
        [](const std::string&, const Weight& w, const InputMoments& inputs) {
          IntSweepOptions o;
          o.format = {3, 32, true};
          const Tensor h = inputs.h.matrix();
          return sweep_to_integers(shifted_target(w.decode_all(), h, inputs.g->matrix(), 0.01, 1), h, o)
              .weight;
        },
        Takes::dense_weights,
        kept_bytes);
    j.finish();
    return read_file(root_ / "out" / "model.safetensors");
  };
  for (const std::string model : {"llama31-rope", "phi"}) {
    const std::string kept = made(model, kKeptHiddenBytes);
    EXPECT_EQ(kept, made(model, 0)) << model;
    const i64 one_chunk = i64{4096} * 256 * 2 * 4;
    EXPECT_EQ(kept, made(model, one_chunk)) << model;
  }
}

TEST_F(WalkTest, a_mixture_gives_each_part_its_share_of_the_tokens) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("{} and ", i);
  write_file_atomic(root_ / "text.txt", text);
  const std::string file = (root_ / "text.txt").string();
  CalibrationOptions o;
  o.tokens = 1000, o.length = 64;
  const Calibration mixed = calibration_of(o, job(kShipped, "sums:train * 3 + " + file));
  EXPECT_EQ(mixed.tokens, 1000);
  i64 tokens = 0, from_text = 0;
  for (const std::vector<i32>& ids : mixed.sequences) {
    if (tokens >= 750) from_text += static_cast<i64>(ids.size());
    tokens += static_cast<i64>(ids.size());
  }
  EXPECT_EQ(from_text, 250);
  EXPECT_THROW(calibration_of(o, job(kShipped, "sums:train * 0 + " + file)), Error);
}

TEST_F(WalkTest, importance_is_a_weight_of_mean_one_and_digits_count_more) {
  const Job j = job(kShipped);
  CalibrationOptions o;
  o.tokens = 2000, o.importance = "math";
  const Calibration c = calibration_of(o, j);
  EXPECT_EQ(c.tokens, 2000);
  double sum = 0;
  float low = 100, high = 0;
  for (const auto& weights : c.weights)
    for (const float w : weights) sum += w, low = std::min(low, w), high = std::max(high, w);
  EXPECT_NEAR(sum / 2000, 1, 1e-5);
  EXPECT_NEAR(high / low, 4, 1e-5);
}

TEST_F(WalkTest, text_is_cut_at_seeded_places) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += fmt::format("{} and ", i);
  write_file_atomic(root_ / "text.txt", text);
  const Job j = job(kShipped, (root_ / "text.txt").string());
  CalibrationOptions o;
  o.tokens = 1000, o.length = 64;
  const Calibration a = calibration_of(o, j), b = calibration_of(o, j);
  EXPECT_EQ(a.sequences, b.sequences);
  EXPECT_EQ(a.tokens, 1000);
  EXPECT_EQ(a.sequences.size(), 16u);
  EXPECT_EQ(std::set(a.sequences.begin(), a.sequences.end()).size(), 16u);
  o.length = 100000;
  for (const std::vector<i32>& ids : calibration_of(o, j).sequences)
    EXPECT_LE(static_cast<i64>(ids.size()), j.config().max_positions);
}

TEST_F(WalkTest, stages_refuse_what_they_cannot_use) {
  const auto run = [&](const std::string& stage, const json& options, Job&& j) {
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), j);
    j.finish();
  };
  EXPECT_NE(refusal([&] { run("quantize.gptq", {}, job(kShipped, "")); }).find("calib"), std::string::npos);
  run("quantize.gptq", {{"tokens", 600}}, job(kShipped));
  const fs::path packed = root_ / "out";
  EXPECT_EQ(load_model(packed).params.layers[0].wq.format().name(), "int4_g64");
  const fs::path again = root_ / "again";
  fs::create_directories(again / "work"), fs::create_directories(again / "out");
  Job second({"test", packed, again / "work", again / "out", 0, {{"calib", "sums:train"}}});
  EXPECT_NE(refusal([&] {
              run("prune.wanda", {{"tokens", 600}}, std::move(second));
            }).find("packed already"),
            std::string::npos);
}

TEST_F(WalkTest, every_calibrated_stage_makes_a_model_that_loads) {
  for (const auto& [stage, options] : std::vector<std::pair<std::string, json>>{
           {"prune.wanda", {{"tokens", 600}}},
           {"prune.sparsegpt", {{"tokens", 600}, {"pattern", "2:4"}, {"store", "dense"}}},
           {"compress.joint", {{"tokens", 600}, {"bits", 3}}},
           {"quantize.gptq",
            {{"tokens", 600}, {"group", "row"}, {"symmetric", false}, {"order", "activation"}}}}) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    Job j = job(kShipped);
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), j);
    j.finish();
    const Weight up = load_model(root_ / "out").params.layers[2].w_up;
    const Tensor w = up.decode_all();
    const auto zeros = std::count(w.f32(), w.f32() + w.count(), 0.0f);
    if (stage == "compress.joint") EXPECT_EQ(up.format().name(), "sparse_int3_g64");
    if (stage != "quantize.gptq") EXPECT_GE(zeros, w.count() / 2 - w.dim(0)) << stage;
    EXPECT_LT(zeros, w.count()) << stage;
  }
}

TEST_F(WalkTest, zeros_left_out_change_no_number_and_make_the_file_smaller) {
  const auto made = [&](const std::string& stage, json options, const std::string& store) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "work"), fs::create_directories(root_ / "out");
    options["tokens"] = 600, options["store"] = store;
    Job j = job(kShipped);
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical(options, "test"), j);
    j.finish();
    return load_model(root_ / "out").params.layers;
  };
  for (const auto& [stage, options, name] : std::vector<std::tuple<std::string, json, std::string>>{
           {"compress.joint",
            {{"refinements", 0}, {"pattern", "2:4"}, {"symmetric", false}},
            "sparse24_int4_g64_asym"},
           {"prune.wanda", {{"pattern", "2:4"}}, "sparse24_"}}) {
    const auto dense = made(stage, options, "dense"), sparse = made(stage, options, "mask");
    for (std::size_t l = 0; l < dense.size(); ++l)
      for (const auto& [a, b] : {std::pair(dense[l].wq, sparse[l].wq), {dense[l].w_down, sparse[l].w_down}}) {
        SCOPED_TRACE(a.format().name() + " " + b.format().name());
        EXPECT_EQ(b.format().name().find(name), 0u);
        EXPECT_LE(b.bytes(), a.bytes());
        const Tensor x = a.decode_all(), y = b.decode_all();
        EXPECT_TRUE(std::equal(x.f32(), x.f32() + x.count(), y.f32()));
        const auto* q = dynamic_cast<const SparseIntWeight*>(&b.format());
        if (!q) continue;
        const Tensor keep = q->places().unpacked();
        for (i64 i = 0; i < y.count(); ++i) {
          if (!keep.data<u8>()[i]) EXPECT_EQ(y.f32()[i], 0.0f);
        }
      }
  }
}

}  // namespace
}  // namespace pare
