// Whole models of llama.cpp's converter and quantiser: configuration, types and logits are the reference's,
// and our own files hold the reference's bytes.
#include <gtest/gtest.h>

#include "base/file.h"
#include "io/gguf.h"
#include "model/fixture.h"
#include "model/forward.h"
#include "model/gguf_export.h"
#include "model/gguf_load.h"
#include "model/load.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kQuant = fs::path(PARE_SHARED) / "fixtures/quant";
// What the fixtures recommend for f32 logits of dequantised weights.
constexpr double kLogits = 1e-3;

std::string source_of(const std::string& name) { return name.substr(0, name.rfind('-')); }
std::string scheme_of(const std::string& name) { return name.substr(name.rfind('-') + 1); }

class GgufModel : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  }
  void write_ours(const fs::path& out) const {
    const fs::path source = kQuant / "models" / source_of(GetParam());
    export_gguf(load_model(source), source, gguf_scheme(scheme_of(GetParam())), out);
  }
  fs::path file() const { return kQuant / "gguf" / (GetParam() + ".gguf"); }
};

TEST_P(GgufModel, LogitsAreThoseOfTheDequantisedWeights) {
  // Where only the expected values are kept, our own file stands in: its bytes are the reference's (below).
  const fs::path ours = temporary_beside(fs::temp_directory_path() / "export.gguf");
  if (!fs::exists(file())) write_ours(ours);
  const Model m = load_gguf_model(fs::exists(file()) ? file() : ours);
  fs::remove(ours);
  const SafeTensors expected = SafeTensors::open(kQuant / "gguf" / (GetParam() + ".expected.safetensors"));
  const Tensor want = expected.tensor("logits_f32_dequant");
  const Tensor logits = fixture::logits_of(m, fixture::ids(expected.tensor("input_ids")));
  ASSERT_EQ(logits.count(), want.count());
  EXPECT_LE(fixture::max_difference(logits.f32(), want.f32(), want.count()), kLogits);
}

TEST_P(GgufModel, OurFileHasTheReferencesMetadataTypesAndBytes) {
  const fs::path out = temporary_beside(fs::temp_directory_path() / "export.gguf");
  write_ours(out);
  const Gguf ours = Gguf::open(out);
  const json models = read_json(kQuant / "gguf/models.json");
  const json& reference = models[GetParam()];
  ASSERT_EQ(ours.tensor_names().size(), reference["tensors"].size());
  int other_bytes = 0;
  for (const json& t : reference["tensors"]) {
    const auto name = t["name"].get<std::string>();
    SCOPED_TRACE(name);
    const Gguf::Info& info = ours.info(name);
    EXPECT_EQ(ggml_type_info(info.type).name, t["type"].get<std::string>());
    EXPECT_EQ(json(std::vector<i64>(info.shape.rbegin(), info.shape.rend())), t["dims"]);
    const std::string bytes =
        read_file(out).substr(static_cast<std::size_t>(info.begin), static_cast<std::size_t>(info.bytes));
    other_bytes += sha256(bytes) != t["sha256"].get<std::string>();
  }
  EXPECT_EQ(other_bytes, 0) << "tensors whose bytes differ";
  for (const json& entry : reference["kv"]) {
    const auto key = entry[0].get<std::string>();
    if (key == "general.size_label") continue;  // for people
    SCOPED_TRACE(key);
    ASSERT_TRUE(ours.has(key));
    const json& value = entry[2];
    if (value.is_string()) {
      EXPECT_EQ(ours.text(key), value.get<std::string>());
    } else if (value.is_number()) {
      EXPECT_EQ(ours.number(key), value.get<double>());
    } else {
      EXPECT_EQ(ours.value(key).count, value["count"].get<i64>());
      for (std::size_t i = 0; i < value["first"].size(); ++i) {
        if (value["first"][i].is_string())
          EXPECT_EQ(ours.texts(key)[i], value["first"][i].get<std::string>());
        else
          EXPECT_EQ(ours.numbers(key)[i], value["first"][i].get<double>());
      }
    }
  }
  // The arrays of a file that is kept are compared in full; transformers' Qwen2 class adds <|endoftext|>,
  // which tokenizer.json does not have, before the converter sees the tokenizer.
  if (fs::exists(file())) {
    const Gguf theirs = Gguf::open(file());
    const auto a = ours.texts("tokenizer.ggml.tokens"), b = theirs.texts("tokenizer.ggml.tokens");
    const auto types = ours.integers("tokenizer.ggml.token_type"),
               their_types = theirs.integers("tokenizer.ggml.token_type");
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (b[i] == "<|endoftext|>") continue;
      EXPECT_EQ(a[i], b[i]);
      EXPECT_EQ(types[i], their_types[i]) << a[i];
    }
    EXPECT_EQ(ours.texts("tokenizer.ggml.merges"), theirs.texts("tokenizer.ggml.merges"));
  }
  fs::remove(out);
}

INSTANTIATE_TEST_SUITE_P(All,
                         GgufModel,
                         testing::Values("tiny-llama-f16",
                                         "tiny-llama-q8_0",
                                         "tiny-llama-q4_0",
                                         "tiny-llama-q4_k_m",
                                         "tiny-llama-q6_k",
                                         "tiny-qwen2-bf16",
                                         "tiny-qwen2-q4_k_m",
                                         "tiny-qwen2-q6_k",
                                         "tiny-qwen2-q3_k_m"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace pare
