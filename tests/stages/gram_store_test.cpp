// Moments of the dense model are collected once for all methods, equal what a walk sees, and survive a kill.
#include "stages/gram_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "refusal.h"
#include "stages/calibrated.h"
#include "store/store.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kShipped = fs::path(PARE_SOURCE) / "models/sums-3m";

class GramStoreTest : public ::testing::Test {
 protected:
  GramStoreTest() : root_(temporary_beside(fs::temp_directory_path() / "grams")), store_(root_ / "store") {
    o_.tokens = 700, o_.inputs = "dense";
  }
  ~GramStoreTest() override { fs::remove_all(root_); }

  Job job(const std::string& name) {
    fs::create_directories(root_ / name / "work"), fs::create_directories(root_ / name / "out");
    JobInput input{
        "test", kShipped, root_ / name / "work", root_ / name / "out", 0, {{"calib", "sums:train"}}};
    input.identity = {{"source", "abc"}, {"data", "sums:train"}};
    input.shared = [&](const json& inputs, const BuildFolder& build) {
      return store_
          .obtain(Store::key_of(inputs),
                  inputs,
                  [&](const fs::path& work, const fs::path& out) {
                    ++built_;
                    build(work, out);
                  })
          .dir;
    };
    return Job(std::move(input));
  }

  fs::path root_;
  Store store_;
  CalibrationOptions o_;
  int built_ = 0;
};

TEST_F(GramStoreTest, is_collected_once_for_several_methods) {
  for (const std::string stage : {"quantize.gptq", "prune.wanda", "prune.sparsegpt"}) {
    Job j = job(stage);
    const StageInfo& info = find_stage(stage);
    info.run(info.canonical({{"tokens", 700}, {"inputs", "dense"}}, "test"), j);
    j.finish();
    EXPECT_TRUE(fs::exists(root_ / stage / "out/model.safetensors"));
  }
  EXPECT_EQ(built_, 1);
  Job other = job("other");
  o_.tokens = 600;
  GramStore::obtain(other, o_);
  EXPECT_EQ(built_, 2);
}

TEST_F(GramStoreTest, holds_what_a_walk_sees_that_changes_nothing) {
  Job stored = job("stored"), walked = job("walked");
  const GramStore store = GramStore::obtain(stored, o_);
  const Config& c = walked.config();
  walk_weights(walked,
               calibration_of(o_, walked),
               false,
               [&](const std::string& name, const Weight& w, const InputMoments& in) {
                 for (const LinearGroup& group : linear_groups(c))
                   for (const auto member : group.members)
                     for (i64 layer = 0; layer < c.L; ++layer)
                       if (linear_name(c, layer, member) == name) {
                         const Gram kept = store.gram(layer, group.input);
                         const Tensor a = kept.matrix(), b = in.h.matrix();
                         EXPECT_EQ(kept.tokens(), in.h.tokens());
                         EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())), 0)
                             << name;
                       }
                 return w;
               });
}

TEST_F(GramStoreTest, a_damaged_folder_is_named) {
  Job j = job("damaged");
  const GramStore store = GramStore::obtain(j, o_);
  for (const auto& entry : fs::recursive_directory_iterator(root_ / "store"))
    if (entry.path().filename() == "block-2.safetensors") fs::resize_file(entry.path(), 1000);
  EXPECT_NE(refusal([&] { store.gram(2, BlockInput::mlp); }).find("block-2.safetensors"), std::string::npos);
}

TEST_F(GramStoreTest, shift_wants_inputs_that_have_come_through_compressed_layers) {
  Job j = job("shift");
  const StageInfo& info = find_stage("quantize.gptq");
  const std::string said = refusal([&] {
    info.run(info.canonical({{"tokens", 700}, {"inputs", "dense"}, {"shift", 0.5}}, "test"), j);
  });
  EXPECT_NE(said.find("inputs: dense"), std::string::npos) << said;
}

}  // namespace
}  // namespace pare
