// The importance matrix of a model is the mean square of what its linear layers see, and files rounded by it
// predict more like the model than files that are not.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "base/log.h"
#include "eval/texts.h"
#include "model/fixture.h"
#include "model/gguf_export.h"
#include "model/gguf_load.h"
#include "ops/kl_divergence.h"
#include "refusal.h"
#include "stages/collect_imatrix.h"
#include "stages/walk_blocks.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class CollectImatrix : public testing::Test {
 protected:
  CollectImatrix() : root_(temporary_beside(fs::temp_directory_path() / "collect")) {
    fs::create_directories(root_);
    set_log_level(LogLevel::off);
  }
  ~CollectImatrix() override {
    fs::remove_all(root_);
    set_log_level(LogLevel::info);
  }
  fs::path root_;
};

TEST_F(CollectImatrix, HoldsTheMeanSquareOfEveryInput) {
  CalibrationOptions o;
  o.tokens = 500;
  const Imatrix found = collect_imatrix(kShipped, "sums:train", o, 0);
  const Model m = load_model(kShipped);
  EXPECT_EQ(static_cast<i64>(found.entries.size()), 7 * m.config.L);
  EXPECT_EQ(found.datasets, std::vector<std::string>{"sums:train"});
  EXPECT_EQ(found.chunks, 1);

  const Job job({"test", kShipped, root_ / "w", root_ / "o", 0, {{"calib", "sums:train"}}, {}, nullptr, {}});
  Acts acts;
  acts.keep = Keep::everything;
  forward(m, pack_sequences(calibration_of(o, job).sequences), acts);
  const LayerActs& s = acts.layers[2];
  for (const auto& [name, x] : {std::pair("attn_k", &s.a),
                                std::pair("attn_output", &s.o),
                                std::pair("ffn_gate", &s.b),
                                std::pair("ffn_down", &s.h)}) {
    const Imatrix::Entry& entry = found.entries.at(fmt::format("blk.2.{}.weight", name));
    const Tensor mean = entry.mean_square();
    const i64 rows = x->dim(0), K = x->dim(1);
    ASSERT_EQ(mean.count(), K);
    EXPECT_EQ(entry.counts, std::vector<float>{500});
    for (i64 k = 0; k < K; ++k) {
      double sum = 0;
      for (i64 n = 0; n < rows; ++n) sum += std::pow(x->f32()[n * K + k], 2);
      EXPECT_NEAR(
          mean.f32()[k], sum / static_cast<double>(rows), 1e-4 * (1e-3 + sum / static_cast<double>(rows)))
          << name << " " << k;
    }
  }
}

TEST_F(CollectImatrix, FilesRoundedByItPredictMoreLikeTheModel) {
  const Model m = load_model(kShipped);
  CalibrationOptions o;
  o.tokens = 4096;
  const Imatrix imatrix = collect_imatrix(kShipped, "sums:train", o, 0);
  // Problems that it has not seen.
  const JudgedText text = judged_text("sums:test", 30, *Tokenizer::load(kShipped));
  const auto logits_of = [&](const Model& of) {
    Acts acts;
    forward(of, pack_sequences(text.sequences), acts);
    Tensor logits;
    head(of, acts.out, logits);
    return logits;
  };
  const Tensor want = logits_of(m);
  const auto divergence = [&](const char* type, const Imatrix* by) {
    const fs::path out = root_ / "m.gguf";
    export_gguf(m, kShipped, gguf_scheme(type), out, by);
    const Tensor logits = logits_of(load_model(out));
    Tensor kl = Tensor::empty({want.dim(0)}, DType::f64);
    kl_divergence(want, logits, kl);
    double sum = 0;
    for (i64 n = 0; n < kl.count(); ++n) sum += kl.data<double>()[n];
    fs::remove(out);
    return sum / static_cast<double>(kl.count());
  };
  for (const char* type : {"q4_0", "q3_k_s", "q4_k_m"}) {
    // About a quarter less in each.
    const double plain = divergence(type, nullptr), by = divergence(type, &imatrix);
    EXPECT_LT(by, 0.9 * plain) << type;
  }
}

TEST_F(CollectImatrix, RefusesTextsThatAreNone) {
  EXPECT_NE(
      refusal([&] { collect_imatrix(kShipped, (root_ / "none.txt").string(), {}, 0); }).find("none.txt"),
      std::string::npos);
}

}  // namespace
}  // namespace pare
