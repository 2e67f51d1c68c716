// The principal part and the rest are the weight; a rounded rest loses less than the rounded weight.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "model/fixture.h"
#include "model/forward.h"
#include "stages/stage.h"
#include "weights/codebook4.h"
#include "weights/low_rank.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class LowrankPissa : public ::testing::Test {
 protected:
  LowrankPissa() : root_(temporary_beside(fs::temp_directory_path() / "pissa")) {}
  ~LowrankPissa() override { fs::remove_all(root_); }

  Model made(const json& options, const fs::path& source) {
    const fs::path at = root_ / std::to_string(jobs_++);
    fs::create_directories(at / "work"), fs::create_directories(at / "out");
    Job job({"lowrank.pissa", source, at / "work", at / "out", 0, {}, {}, {}, {}});
    const StageInfo& info = find_stage("lowrank.pissa");
    info.run(info.canonical(options, "test"), job);
    job.finish();
    return load_model(at / "out");
  }
  fs::path root_;
  int jobs_ = 0;
};

std::vector<std::pair<std::string, Weight>> linears(const Model& m) {
  std::vector<std::pair<std::string, Weight>> out;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      if (name.starts_with("model.layers.")) out.emplace_back(name, member);
  });
  return out;
}

double error(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (i64 i = 0; i < a.count(); ++i) sum += std::pow(static_cast<double>(a.f32()[i]) - b.f32()[i], 2);
  return sum;
}

TEST_F(LowrankPissa, PartAndDenseRestAreTheWeightInEveryFamily) {
  for (const std::string& family : {std::string("llama-gqa-bf16-sharded"), std::string("phi")}) {
    const fs::path source = fixture::dir(family);
    const Model base = load_model(source);
    for (const char* dtype : {"f32", "bf16"}) {
      const Model split = made({{"residual", "dense"}, {"rank", 4}, {"dtype", dtype}}, source);
      const auto a = linears(base), b = linears(split);
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_NE(low_rank_of(b[i].second), nullptr);
        const Tensor w = a[i].second.decode_all(), sum = b[i].second.decode_all();
        ASSERT_LE(fixture::max_difference(w.f32(), sum.f32(), w.count()), 1e-6 * fixture::max_abs(w));
      }
      const std::vector<i32> ids = {1, 5, 9, 2, 7, 30};
      const Tensor x = fixture::logits_of(base, ids), y = fixture::logits_of(split, ids);
      EXPECT_LE(fixture::max_difference(x.f32(), y.f32(), x.count()), 2e-5 * (1 + fixture::max_abs(x)));
    }
  }
}

TEST_F(LowrankPissa, TheRestHasLostTheLargestDirections) {
  const Model base = load_model(kShipped), split = made({{"residual", "dense"}, {"rank", 8}}, kShipped);
  const Tensor w = base.params.layers[0].wq.decode_all();
  const Tensor rest = low_rank_of(split.params.layers[0].wq)->parts().base.decode_all();
  const Tensor none = Tensor::zeros(w.shape());
  EXPECT_LT(error(rest, none), 0.9 * error(w, none));
}

TEST_F(LowrankPissa, ARoundedRestLosesLessThanTheRoundedWeightAndRoundsHelp) {
  const auto base = linears(load_model(kShipped));
  const auto once = linears(made({{"rank", 16}}, kShipped));
  const auto thrice = linears(made({{"rank", 16}, {"rounds", 3}}, kShipped));
  for (std::size_t i = 0; i < base.size(); ++i) {
    const Tensor w = base[i].second.decode_all();
    const double plain = error(w, quantize_codebook4(w, {Code4::nf4, 64, false}).decode_all());
    const double first = error(w, once[i].second.decode_all());
    EXPECT_LE(first, plain) << base[i].first;
    EXPECT_LT(error(w, thrice[i].second.decode_all()), first) << base[i].first;
  }
}

TEST_F(LowrankPissa, EveryKindOfRestLoads) {
  for (const auto& [rest, name] : std::vector<std::pair<std::string, std::string>>{
           {"int8", "int8_g32+r4"}, {"int2", "int2_g32+r4"}, {"dense", "f32+r4"}})
    EXPECT_EQ(
        made({{"rank", 4}, {"residual", rest}, {"group", 32}}, kShipped).params.layers[0].wk.format().name(),
        name);
}

}  // namespace
}  // namespace pare
