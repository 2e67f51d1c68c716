// Checkpoints of the reference libraries, read and written again by the same method: every tensor is theirs
// to the byte.
#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "model/fixture.h"
#include "model/hf_packing.h"
#include "model/hf_quantised_awq.h"
#include "model/hf_quantised_export.h"
#include "model/hf_quantised_gptq.h"
#include "model/linear_file.h"
#include "model/load.h"
#include "weights/format_checks.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kQuant = fs::path(PARE_SHARED) / "fixtures/quant";

struct Case {
  const char *folder, *method, *type;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.folder; }

class ScratchFolder : public testing::Test {
 protected:
  ScratchFolder() : root_(temporary_beside(fs::temp_directory_path() / "export")) {
    fs::create_directories(root_);
    set_log_level(LogLevel::off);
  }
  ~ScratchFolder() override {
    fs::remove_all(root_);
    set_log_level(LogLevel::info);
  }
  fs::path root_;
};

/// Names, dtypes, shapes and bytes. `ignored`: suffixes of tensors that are known to be left out.
void expect_same_files(const fs::path& ours,
                       const fs::path& theirs,
                       const std::vector<std::string>& ignored) {
  const SafeTensors a = SafeTensors::open(ours / "model.safetensors");
  const SafeTensors b = SafeTensors::open(theirs / "model.safetensors");
  std::vector<std::string> want;
  for (const std::string& name : b.names())
    if (std::none_of(ignored.begin(), ignored.end(), [&](const auto& end) { return name.ends_with(end); }))
      want.push_back(name);
  EXPECT_EQ(a.names(), want);
  for (const std::string& name : want) {
    if (!a.has(name)) continue;
    EXPECT_EQ(a.info(name).dtype, b.info(name).dtype) << name;
    EXPECT_EQ(a.info(name).shape, b.info(name).shape) << name;
    const Tensor x = a.bytes(name), y = b.bytes(name);
    i64 different = 0;
    for (i64 i = 0; i < std::min(x.count(), y.count()); ++i) different += x.data<u8>()[i] != y.data<u8>()[i];
    EXPECT_EQ(different, 0) << name << " of " << x.count() << " bytes";
  }
}

/// What readers of these files go by.
const std::map<std::string, std::vector<std::string>> kEssential = {
    {"gptq",
     {"quant_method",
      "method",
      "bits",
      "group_size",
      "desc_act",
      "sym",
      "lm_head",
      "checkpoint_format",
      "format",
      "pack_dtype",
      "dynamic"}},
    {"awq", {"quant_method", "bits", "group_size", "zero_point", "version"}},
    {"bnb",
     {"quant_method",
      "load_in_4bit",
      "load_in_8bit",
      "_load_in_4bit",
      "_load_in_8bit",
      "bnb_4bit_quant_storage",
      "bnb_4bit_quant_type",
      "bnb_4bit_use_double_quant",
      "llm_int8_has_fp16_weight",
      "llm_int8_skip_modules",
      "llm_int8_threshold",
      "llm_int8_enable_fp32_cpu_offload"}},
    {"compressed-tensors",
     {"quant_method",
      "version",
      "format",
      "quantization_status",
      "ignore",
      "kv_cache_scheme",
      "sparsity_config",
      "transform_config"}}};

/// Without the ways in which scales were found.
json group_of_config(const json& config, bool activations) {
  json group = config["config_groups"]["group_0"];
  for (const char* key : {"weights", "input_activations"})
    if (group[key].is_object()) {
      group[key].erase("observer");
      group[key].erase("observer_kwargs");
    }
  if (!activations) group.erase("input_activations");
  return group;
}

void expect_same_config(const fs::path& ours,
                        const fs::path& theirs,
                        const std::string& method,
                        bool activations) {
  const json a = read_json(ours / "config.json")["quantization_config"];
  const json b = read_json(theirs / "config.json")["quantization_config"];
  for (const std::string& key : kEssential.at(method))
    EXPECT_EQ(a.value(key, json()), b.value(key, json())) << key;
  if (method == "compressed-tensors") {
    // Unordered: whoever wrote first chose the order of keys.
    using Unordered = nlohmann::json;
    EXPECT_EQ(Unordered::parse(group_of_config(a, activations).dump()),
              Unordered::parse(group_of_config(b, activations).dump()));
  }
  EXPECT_EQ(fs::exists(ours / "quantize_config.json"), method == "gptq" || method == "awq");
}

// ---- as they are ----

class Exported : public ScratchFolder, public testing::WithParamInterface<Case> {};

TEST_P(Exported, AgainByItsOwnMethodIsTheReferencesFile) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const auto& [folder, method, type] = GetParam();
  const fs::path source = kQuant / folder;
  const Converted done = export_hf_quantised(load_model(source), source, method, type, root_ / "out");
  EXPECT_EQ(done.max_error, 0.0);
  // Static scales of activations are not read.
  const bool calibrated = std::string(folder).ends_with("-FP8");
  expect_same_files(root_ / "out",
                    source,
                    calibrated ? std::vector<std::string>{".input_scale"} : std::vector<std::string>{});
  expect_same_config(root_ / "out", source, method, !calibrated);
  const std::string lost = fmt::format("{}", fmt::join(done.lost, "; "));
  EXPECT_EQ(lost.find("input_activations") != std::string::npos, calibrated) << lost;
  EXPECT_EQ(lost.find("stay dense"), std::string::npos) << lost;
  EXPECT_TRUE(fs::exists(root_ / "out/generation_config.json"));
}

std::string case_name(const testing::TestParamInfo<Case>& test) {
  std::string name = std::string(test.param.folder) + "_" + test.param.type;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Exported,
    testing::Values(Case{"gptq/tiny-llama-w4-g32-sym", "gptq", ""},
                    Case{"gptq/tiny-llama-w4-g32-asym-act", "gptq", "v1"},
                    Case{"gptq/tiny-llama-w4-g128-asym-v2", "gptq", "v2"},
                    Case{"gptq/tiny-llama-w8-gm1-sym", "gptq", ""},
                    Case{"awq/tiny-llama-awq-g32", "awq", ""},
                    Case{"awq/tiny-llama-awq-g128", "awq", ""},
                    Case{"bnb/tiny-llama-nf4-dq", "bnb", ""},
                    Case{"bnb/tiny-llama-fp4", "bnb", ""},
                    Case{"bnb/tiny-llama-int8", "bnb", ""},
                    Case{"compressed_tensors/tiny-llama-W4A16", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-W4A16_ASYM", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-W3A16", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-W8A8", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-FP8", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-FP8_DYNAMIC", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-FP8_BLOCK", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-NVFP4A16", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-MXFP4A16", "compressed-tensors", ""},
                    Case{"compressed_tensors/tiny-llama-MXFP8A16", "compressed-tensors", ""}),
    case_name);

// ---- rounded from the dense model ----

class Rounded : public ScratchFolder, public testing::WithParamInterface<Case> {};

TEST_P(Rounded, DenseWeightsAreTheReferencesFile) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const auto& [folder, method, type] = GetParam();
  const fs::path source = kQuant / "models/tiny-llama", theirs = kQuant / folder;
  const Converted done = export_hf_quantised(load_model(source), source, method, type, root_ / "out");
  const bool calibrated = std::string(folder).ends_with("-FP8");
  expect_same_files(root_ / "out",
                    theirs,
                    calibrated ? std::vector<std::string>{".input_scale"} : std::vector<std::string>{});
  expect_same_config(root_ / "out", theirs, method, !calibrated);
  EXPECT_GT(done.max_error, 0.0);
  EXPECT_EQ(done.lost, std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Rounded,
    testing::Values(Case{"bnb/tiny-llama-nf4-dq", "bnb", "nf4_dq"},
                    Case{"bnb/tiny-llama-fp4", "bnb", "fp4"},
                    Case{"compressed_tensors/tiny-llama-W4A16", "compressed-tensors", "w4a16"},
                    Case{"compressed_tensors/tiny-llama-W4A16_ASYM", "compressed-tensors", "w4a16_asym"},
                    Case{"compressed_tensors/tiny-llama-W3A16", "compressed-tensors", "w3a16"},
                    Case{"compressed_tensors/tiny-llama-W8A8", "compressed-tensors", "w8a8"},
                    Case{"compressed_tensors/tiny-llama-FP8", "compressed-tensors", "fp8"},
                    Case{"compressed_tensors/tiny-llama-FP8_DYNAMIC", "compressed-tensors", "fp8_dynamic"},
                    Case{"compressed_tensors/tiny-llama-FP8_BLOCK", "compressed-tensors", "fp8_block"},
                    Case{"compressed_tensors/tiny-llama-NVFP4A16", "compressed-tensors", "nvfp4a16"},
                    Case{"compressed_tensors/tiny-llama-MXFP4A16", "compressed-tensors", "mxfp4a16"},
                    Case{"compressed_tensors/tiny-llama-MXFP8A16", "compressed-tensors", "mxfp8a16"}),
    case_name);

TEST_F(ScratchFolder, EveryTypeThatRoundsIsReadAgainNearTheWeightsItWasMadeOf) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const fs::path source = kQuant / "models/tiny-llama";
  const Model m = load_model(source);
  const Tensor before = m.params.layers[0].w_down.decode_all();
  int types = 0;
  for (const std::string& method : hf_quantised_methods())
    for (const std::string& type : hf_quantised_types(method)) {
      if (type == "v1" || type == "v2" || type.starts_with("sparse")) continue;
      SCOPED_TRACE(method + " " + type);
      export_hf_quantised(m, source, method, type, root_ / type);
      const Weight again = load_model(root_ / type).params.layers[0].w_down;
      EXPECT_FALSE(again.dense().defined());
      EXPECT_LT(relative_mse(before, again.decode_all()), type.find('3') != std::string::npos ? 0.1 : 0.03);
      fs::remove_all(root_ / type);
      ++types;
    }
  EXPECT_EQ(types, 10 + 6 + 5 + 11);
}

// ---- single layers ----

/// The parts that `packing` makes of `w` are tensors of `file`, `key + renamed suffix`.
void expect_parts(HfPacking& packing,
                  const Weight& w,
                  const SafeTensors& file,
                  const std::string& key,
                  const std::map<std::string, std::string>& renamed = {}) {
  const LinearForm form = form_of(w);
  ASSERT_EQ(packing.refusal(form), "");
  packing.settle({{"x", form}});
  const PackedLinear packed = packing.pack("x", w);
  const std::vector<HfPart> parts = packing.parts(form);
  ASSERT_EQ(parts.size(), packed.tensors.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto other = renamed.find(parts[i].suffix);
    const std::string name = key + (other == renamed.end() ? parts[i].suffix : other->second);
    EXPECT_EQ(parts[i].dtype, file.info(name).dtype) << name;
    EXPECT_EQ(parts[i].shape, file.info(name).shape) << name;
    EXPECT_TRUE(same_bits(packed.tensors[i], file.tensor(name))) << name;
  }
}

TEST(PackedLayers, OfGptqAreTheReferencesInBothVersions) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const SafeTensors file = SafeTensors::open(kQuant / "gptq/layers.safetensors");
  const json list = read_json(kQuant / "gptq/layers.json");
  for (const json& c : list["cases"]) {
    const auto key = c["key"].get<std::string>();
    SCOPED_TRACE(key);
    LinearFile linear({{".qweight", file.tensor(key + ".qweight")},
                       {".qzeros", file.tensor(key + ".qzeros_v1")},
                       {".scales", file.tensor(key + ".scales")},
                       {".g_idx", file.tensor(key + ".g_idx")}});
    const json config = {{"quant_method", "gptq"},
                         {"bits", c["bits"]},
                         {"group_size", c["group_size"]},
                         {"desc_act", c["desc_act"]}};
    const Weight w = linear.read(config, c["out"].get<i64>(), c["in"].get<i64>());
    expect_parts(*gptq_packing(GptqZeros::v1), w, file, key, {{".qzeros", ".qzeros_v1"}});
    expect_parts(*gptq_packing(GptqZeros::v2), w, file, key, {{".qzeros", ".qzeros_v2"}});
  }
}

TEST(PackedLayers, OfAwqAreTheReferences) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const SafeTensors file = SafeTensors::open(kQuant / "awq/layers.safetensors");
  const json list = read_json(kQuant / "awq/layers.json");
  for (const json& c : list["cases"]) {
    const auto key = c["key"].get<std::string>();
    SCOPED_TRACE(key);
    std::vector<LinearPart> parts;
    for (const char* suffix : {".qweight", ".qzeros", ".scales"})
      parts.push_back({suffix, file.tensor(key + suffix)});
    const json config = {
        {"quant_method", "awq"}, {"bits", 4}, {"group_size", c["group_size"]}, {"version", "gemm"}};
    expect_parts(
        *awq_packing(), LinearFile(parts).read(config, c["out"].get<i64>(), c["in"].get<i64>()), file, key);
  }
}

TEST(PackedLayers, OfSparseMatricesAreTheReferences) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const SafeTensors file = SafeTensors::open(kQuant / "compressed_tensors/legacy.safetensors");
  int cases = 0;
  for (const std::string& name : file.names()) {
    if (!name.ends_with(".dense")) continue;
    const std::string key = name.substr(0, name.rfind('.')), dtype = file.info(name).dtype;
    if (dtype != "F32" && dtype != "BF16" && dtype != "F16") continue;
    SCOPED_TRACE(key);
    const bool pattern = key[0] == '2';
    LinearFile linear({{".weight.bitmask", file.tensor(key + ".bitmask")},
                       {".weight.shape", file.tensor(key + ".shape")},
                       {".weight.compressed", file.tensor(key + ".compressed")}});
    const json config = {{"quant_method", "compressed-tensors"},
                         {"sparsity_config", {{"format", pattern ? "sparse-24-bitmask" : "sparse-bitmask"}}}};
    const std::vector<i64> shape = file.info(name).shape;
    const Weight w = linear.read(config, shape[0], shape[1]);
    const auto packing = sparse_packing(pattern ? SparseLayout::two_of_four : SparseLayout::any);
    expect_parts(*packing,
                 w,
                 file,
                 key,
                 {{".weight.bitmask", ".bitmask"},
                  {".weight.shape", ".shape"},
                  {".weight.compressed", ".compressed"},
                  {".weight.row_offsets", ".row_offsets"}});
    ++cases;
  }
  EXPECT_EQ(cases, 12);
}

}  // namespace
}  // namespace pare
