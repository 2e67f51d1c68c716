// Whole folders of quantised checkpoints: packed and dense linears side by side, older spellings, empty
// biases, and every kind of folder that contradicts itself.
#include "model/hf_quantised.h"

#include "base/log.h"
#include "model/fixture.h"
#include "model/hf_quantised_gptq.h"
#include "refusal.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/transpose.h"

namespace pare {
namespace {
namespace fs = std::filesystem;
using Tensors = std::vector<std::pair<std::string, Tensor>>;

/// A golden model whose linears of layer 0 are packed as GPTQ packs them.
class HfQuantised : public testing::Test {
 protected:
  HfQuantised() : dir_(temporary_beside(fs::temp_directory_path() / "quantised")) {
    fs::create_directories(dir_);
    set_log_level(LogLevel::off);
    const fs::path source = fixture::dir("llama-gqa-bf16-sharded");
    config_ = read_json(source / "config.json");
    const TensorFiles files = TensorFiles::open(source);
    for (const std::string& name : files.names()) {
      if (!name.starts_with("model.layers.0.") || !name.ends_with("_proj.weight")) {
        tensors_.emplace_back(name, files.tensor(name));
        continue;
      }
      const Weight q = quantize_int_group(files.tensor(name).to_f32(), {4, 16, false, DType::f16});
      packed_.emplace(name, q);
      const auto& f = dynamic_cast<const IntGroupWeight&>(q.format());
      const std::string x = name.substr(0, name.rfind(".weight"));
      tensors_.emplace_back(x + ".qweight", gptq_qweight(f.codes()));
      tensors_.emplace_back(x + ".qzeros", gptq_qzeros(f.unpacked_zeros(), 4, GptqZeros::v1));
      tensors_.emplace_back(x + ".scales", transposed(f.scales()));
    }
  }
  ~HfQuantised() override {
    fs::remove_all(dir_);
    set_log_level(LogLevel::info);
  }
  Model load() const {
    write_safetensors(dir_ / "model.safetensors", tensors_);
    write_file_atomic(dir_ / "config.json", config_.dump());
    return load_model(dir_);
  }
  void expect_refused(const std::vector<std::string>& parts) const {
    const std::string message = refusal([&] { load(); });
    for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  fs::path dir_;
  json config_;
  Tensors tensors_;
  std::map<std::string, Weight> packed_;
  json gptq_ = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 16}, {"sym", false}};
};

TEST_F(HfQuantised, PackedAndDenseLinearsLieSideBySide) {
  config_["quantization_config"] = gptq_;
  const Model m = load();
  int packed = 0;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      if (const auto q = packed_.find(name); q != packed_.end()) {
        EXPECT_TRUE(same_bits(member.decode_all(), q->second.decode_all())) << name;
        EXPECT_EQ(member.bytes(), q->second.bytes());
        ++packed;
      } else {
        EXPECT_TRUE(member.dense().defined()) << name;
      }
    }
  });
  EXPECT_EQ(packed, 7);
  EXPECT_EQ(read_hf_scheme(dir_, m.config.raw)->summary().text, "4 bits, groups of 16, zero points");
}

TEST_F(HfQuantised, OlderFilesKeepTheirConfigurationBesideConfigJson) {
  expect_refused({"model.layers.0.", "missing", "quantization_config"});
  gptq_.erase("quant_method");
  write_file_atomic(dir_ / "quantize_config.json", gptq_.dump());
  EXPECT_EQ(load().params.layers[0].wq.format().name(), "int4_g16_asym");
  gptq_["bits"] = 3;
  write_file_atomic(dir_ / "quantize_config.json", gptq_.dump());
  expect_refused({"model.layers.0.", ".qweight"});
  gptq_["bits"] = 6;
  write_file_atomic(dir_ / "quantize_config.json", gptq_.dump());
  expect_refused({"quantize_config.json", "bits is 6"});
}

TEST_F(HfQuantised, BiasesOfZerosAreIgnoredAndOthersRefused) {
  config_["quantization_config"] = gptq_;
  const std::string name = "model.layers.0.mlp.up_proj.bias";
  tensors_.emplace_back(name, Tensor::zeros({128}, DType::f16));
  load();
  tensors_.back().second.data<u16>()[77] = 1;
  expect_refused({name, "not zero"});
}

TEST_F(HfQuantised, MethodsThatAreNotKnownAreRefusedByName) {
  for (const char* method : {"hqq", "fp8", "quip", ""}) {
    config_["quantization_config"] = {{"quant_method", method}};
    expect_refused({fmt::format("\"{}\"", method), "compressed-tensors"});
  }
  config_["quantization_config"] = {{"quant_method", 4}};
  expect_refused({"quant_method"});
  config_["quantization_config"] = json::array({1});
  expect_refused({"quantization_config"});
}

TEST_F(HfQuantised, ADenseCopyIsSavedWithoutItsQuantisation) {
  config_["quantization_config"] = gptq_;
  Model m = load();
  m.params = dense_copy(m.params, m.config);
  save_dense_model(m, DType::f32, dir_);
  const Model again = load_model(dir_);
  EXPECT_FALSE(again.config.raw.contains("quantization_config"));
  EXPECT_TRUE(same_bits(again.params.layers[0].wo.decode_all(), m.params.layers[0].wo.decode_all()));
}

}  // namespace
}  // namespace pare
