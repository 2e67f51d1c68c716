// An exported adapter is the one that was read, bit for bit; with a base of its own it is the same model.
#include "model/peft_export.h"

#include <gtest/gtest.h>

#include "backends.h"
#include "base/file.h"
#include "fixture.h"
#include "model/hf_export.h"
#include "model/peft_adapter.h"
#include "refusal.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/low_rank.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const std::vector<i32> kIds = {1, 5, 9, 2, 7, 30, 11};

class PeftExport : public ::testing::Test {
 protected:
  PeftExport() : root_(temporary_beside(fs::temp_directory_path() / "peft-export")) {
    fs::create_directories(root_);
  }
  ~PeftExport() override { fs::remove_all(root_); }
  fs::path root_;
};

/// Parts beside q and down of every layer over `base` weights, q of layer 1 with a rank of its own.
Model with_parts(const std::string& family, bool packed, bool rows) {
  Model m = load_model(fixture::dir(family));
  u64 seed = 1;
  for (std::size_t l = 0; l < m.params.layers.size(); ++l)
    for (const auto member : {&LayerParams::wq, &LayerParams::w_down}) {
      Weight& w = m.params.layers[l].*member;
      const bool other = l == 1 && member == &LayerParams::wq;
      const i64 R = other ? 2 : 3;
      const Weight base = packed ? quantize_int_group(w.decode_all(), {4, 32, true}) : w;
      const Tensor a = normal_tensor({R, w.cols()}, seed++, 0.1).to(DType::bf16);
      const Tensor b = normal_tensor({w.rows(), R}, seed++, 0.1).to(DType::bf16);
      Tensor c;
      if (rows) {
        c = Tensor::empty({w.rows()});
        for (i64 n = 0; n < w.rows(); ++n) c.f32()[n] = 0.8f + 0.001f * static_cast<float>(n);
      }
      w = low_rank_weight(base, a, b, other ? 0.5 : 2, c);
    }
  return m;
}

void expect_same_logits(const Model& a, const Model& b, double tolerance) {
  const Tensor x = fixture::logits_of(a, kIds), y = fixture::logits_of(b, kIds);
  EXPECT_LE(fixture::max_difference(x.f32(), y.f32(), x.count()), tolerance);
}

TEST_F(PeftExport, ABaseAndItsPartsComeBackAsTheSameModel) {
  for (const std::string family : {"llama-gqa-bf16-sharded", "qwen2-tied", "phi"})
    for (const bool packed : {false, true}) {
      SCOPED_TRACE(family);
      const Model m = with_parts(family, packed, false);
      const fs::path out = root_ / (family + (packed ? "-packed" : ""));
      const Converted done = export_peft(m, fixture::dir(family), out);
      EXPECT_EQ(done.max_error, 0);
      EXPECT_TRUE(fs::exists(out / "base/config.json"));
      const Model again = load_model(out);
      expect_same_logits(m, again, 0);
      const json config = read_json(out / "adapter_config.json");
      EXPECT_EQ(config["base_model_name_or_path"], "base");
      EXPECT_EQ(config["r"], 3);
      EXPECT_EQ(config["lora_alpha"], 6);
      EXPECT_EQ(config["rank_pattern"].size(), 1u);
      EXPECT_EQ(config["alpha_pattern"].size(), 1u);
      EXPECT_EQ(low_rank_of(again.params.layers[1].wq)->parts().scale, 0.5);
    }
}

TEST_F(PeftExport, RowFactorsBecomeMagnitudes) {
  const Model m = with_parts("llama-gqa-bf16-sharded", false, true);
  export_peft(m, fixture::dir("llama-gqa-bf16-sharded"), root_ / "out");
  EXPECT_EQ(read_json(root_ / "out/adapter_config.json")["use_dora"], true);
  expect_same_logits(m, load_model(root_ / "out"), 2e-5);
}

TEST_F(PeftExport, ModulesThatOnlySomeLayersAdaptAreNamedByTheirPaths) {
  Model m = with_parts("llama-gqa-bf16-sharded", false, false);
  m.params.layers[0].wq = low_rank_of(m.params.layers[0].wq)->parts().base;
  export_peft(m, fixture::dir("llama-gqa-bf16-sharded"), root_ / "out");
  const json targets = read_json(root_ / "out/adapter_config.json")["target_modules"];
  EXPECT_EQ(targets,
            json::array({"down_proj", "model.layers.1.self_attn.q_proj", "model.layers.2.self_attn.q_proj"}));
  expect_same_logits(m, load_model(root_ / "out"), 0);
}

TEST_F(PeftExport, AMergedFolderIsTheSameFunction) {
  const Model m = with_parts("llama-gqa-bf16-sharded", true, true);
  export_hf(m, fixture::dir("llama-gqa-bf16-sharded"), DType::f32, root_ / "merged");
  expect_same_logits(m, load_model(root_ / "merged"), 2e-5);
}

TEST_F(PeftExport, AModelWithoutPartsIsRefused) {
  const fs::path source = fixture::dir("llama-gqa-bf16-sharded");
  EXPECT_NE(refusal([&] { export_peft(load_model(source), source, root_ / "out"); }).find("no weight has"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(root_ / "out"));
}

TEST_F(PeftExport, AnAdapterThatWasReadIsWrittenBitForBit) {
  const fs::path shared = fs::path(PARE_SHARED) / "fixtures";
  if (!fs::exists(shared / "peft"))
    GTEST_SKIP() << shared / "peft"
                 << " is not here";
  for (const std::string base : {"llama-gqa-bf16-sharded", "qwen2-tied"})
    for (const std::string kind : {"lora-qv", "lora-all-rslora"}) {
      SCOPED_TRACE(base + " " + kind);
      const fs::path from = shared / "peft" / base / kind, copy = root_ / (base + kind);
      fs::create_directories(copy);
      fs::copy_file(from / "adapter_model.safetensors", copy / "adapter_model.safetensors");
      json config = read_json(from / "adapter_config.json");
      config["base_model_name_or_path"] = (shared / "models" / base).string();
      write_file_atomic(copy / "adapter_config.json", config.dump());
      const fs::path out = root_ / (base + kind + "-out");
      export_peft(load_model(copy), copy, out);
      EXPECT_EQ(read_file(out / "adapter_model.safetensors"), read_file(from / "adapter_model.safetensors"));
      EXPECT_FALSE(fs::exists(out / "base"));
      const json written = read_json(out / "adapter_config.json");
      EXPECT_EQ(written["target_modules"], config["target_modules"]);
      EXPECT_FALSE(fs::path(written["base_model_name_or_path"].get<std::string>()).is_absolute());
      expect_same_logits(load_model(copy), load_model(out), 0);
    }
}

}  // namespace
}  // namespace pare
