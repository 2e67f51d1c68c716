// A stage that starts from an adapter sees its base with the parts beside it, and its artefact is that model.
#include <gtest/gtest.h>

#include "base/file.h"
#include "model/fixture.h"
#include "model/peft_export.h"
#include "refusal.h"
#include "stages/adapter_source.h"
#include "stages/job.h"
#include "weights/format_checks.h"
#include "weights/low_rank.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class AdapterSource : public ::testing::Test {
 protected:
  AdapterSource() : root_(temporary_beside(fs::temp_directory_path() / "adapter-source")) {
    fs::create_directories(root_ / "work");
    fs::create_directories(root_ / "out");
    const fs::path base = fixture::dir("qwen2-tied");
    Model m = load_model(base);
    Weight& q = m.params.layers[0].wq;
    q = low_rank_weight(q, normal_tensor({2, q.cols()}, 1, 0.1), normal_tensor({q.rows(), 2}, 2, 0.1), 3);
    export_peft(m, base, root_ / "adapter");
  }
  ~AdapterSource() override { fs::remove_all(root_); }
  fs::path root_;
};

constexpr const char* kQ = "model.layers.0.self_attn.q_proj.weight";

TEST_F(AdapterSource, AnArtefactThatChangesNothingIsTheAdaptedModel) {
  Job job({"test", root_ / "adapter", root_ / "work", root_ / "out", 0, {}, {}, {}, {}});
  job.finish();
  const Model before = load_model(root_ / "adapter"), after = load_model(root_ / "out");
  EXPECT_EQ(low_rank_of(after.params.layers[0].wq)->rank(), 2);
  const Tensor x = fixture::logits_of(before, {1, 5, 9, 2}), y = fixture::logits_of(after, {1, 5, 9, 2});
  EXPECT_EQ(fixture::max_difference(x.f32(), y.f32(), x.count()), 0);
  EXPECT_TRUE(same_bits(before.params.norm_out, after.params.norm_out));
}

TEST_F(AdapterSource, AdaptedWeightsCountAsPackedAndOthersAsTheyLie) {
  const auto source = open_source(root_ / "adapter");
  EXPECT_EQ(source->format(), "mixed");
  EXPECT_NE(source->packed_format(kQ).find("+r2"), std::string::npos);
  const std::string k = "model.layers.0.self_attn.k_proj.weight";
  EXPECT_EQ(source->packed_format(k), "");
  const Weight base = load_model(fixture::dir("qwen2-tied")).params.layers[0].wk;
  EXPECT_TRUE(same_bits(source->dense(k, {base.rows(), base.cols()}), base.dense()));
  const std::string said = refusal([&] { expect_compressible(*source, "quantize.rtn"); });
  EXPECT_NE(said.find(kQ), std::string::npos) << said;
}

}  // namespace
}  // namespace pare
