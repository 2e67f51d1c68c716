// Layers packed by the reference libraries unpack, dequantise and pack again as their own, bit for bit.
#include "model/hf_quantised_awq.h"
#include "model/hf_quantised_compressed_tensors.h"
#include "model/hf_quantised_gptq.h"
#include "model/linear_file.h"
#include "weights/bits.h"
#include "weights/float_group.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/sparse_mask.h"
#include "weights/transpose.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kQuant = fs::path(PARE_SHARED) / "fixtures/quant";
const fs::path kGptq = kQuant / "gptq", kAwq = kQuant / "awq", kCompressed = kQuant / "compressed_tensors";

json gptq_config(int bits, i64 group, GptqZeros version) {
  return {{"quant_method", "gptq"},
          {"bits", bits},
          {"group_size", group},
          {"checkpoint_format", version == GptqZeros::v1 ? "gptq" : "gptq_v2"}};
}

TEST(Gptq, LayersOfTheReferenceDequantiseToItsBitsAndPackToItsWords) {
  if (!fs::exists(kGptq)) GTEST_SKIP() << kGptq << " is not here";
  const SafeTensors file = SafeTensors::open(kGptq / "layers.safetensors");
  int layers = 0;
  const json list = read_json(kGptq / "layers.json");
  for (const json& c : list["cases"]) {
    const auto key = c["key"].get<std::string>();
    SCOPED_TRACE(key);
    ++layers;
    const int bits = c["bits"].get<int>();
    const i64 N = c["out"].get<i64>(), K = c["in"].get<i64>();
    const Tensor qweight = file.tensor(key + ".qweight"), want = file.tensor(key + ".dequant_f16").to_f32();
    EXPECT_TRUE(same_bits(gptq_qweight(gptq_codes(qweight)), qweight));
    for (const GptqZeros version : {GptqZeros::v1, GptqZeros::v2}) {
      const Tensor qzeros = file.tensor(key + (version == GptqZeros::v1 ? ".qzeros_v1" : ".qzeros_v2"));
      EXPECT_TRUE(same_bits(gptq_qzeros(gptq_zeros(qzeros, N, bits, version), bits, version), qzeros));
      LinearFile linear({{".qweight", qweight},
                         {".qzeros", qzeros},
                         {".scales", file.tensor(key + ".scales")},
                         {".g_idx", file.tensor(key + ".g_idx")}});
      json config = gptq_config(bits, c["group_size"].get<i64>(), version);
      config["desc_act"] = c["desc_act"];
      config["sym"] = c["sym"];
      const Weight w = linear.read(config, N, K);
      EXPECT_TRUE(same_bits(w.decode_all(), want)) << w.format().name();
      EXPECT_EQ(dynamic_cast<const IntGroupWeight&>(w.format()).symmetric(), c["sym"].get<bool>());
      EXPECT_LE(w.bytes(), N * K * bits / 8 + 3 * N * (K / 32 + 1) + 4 * K);
    }
  }
  EXPECT_EQ(layers, 38);
}

TEST(Awq, LayersOfTheReferenceDequantiseToItsBitsAndPackToItsWords) {
  if (!fs::exists(kAwq)) GTEST_SKIP() << kAwq << " is not here";
  const SafeTensors file = SafeTensors::open(kAwq / "layers.safetensors");
  const json list = read_json(kAwq / "layers.json");
  for (const json& c : list["cases"]) {
    const auto key = c["key"].get<std::string>();
    SCOPED_TRACE(key);
    const i64 N = c["out"].get<i64>(), K = c["in"].get<i64>();
    std::vector<LinearPart> parts;
    for (const char* suffix : {".qweight", ".qzeros", ".scales"})
      parts.push_back({suffix, file.tensor(key + suffix)});
    const json config = {
        {"quant_method", "awq"}, {"bits", 4}, {"group_size", c["group_size"]}, {"version", "gemm"}};
    const Weight w = LinearFile(parts).read(config, N, K);
    const auto& f = dynamic_cast<const IntGroupWeight&>(w.format());
    EXPECT_TRUE(same_bits(w.decode_all(), file.tensor(key + ".W_f32")));
    EXPECT_TRUE(same_bits(f.unpacked_codes(), file.tensor(key + ".codes")));
    EXPECT_TRUE(same_bits(f.unpacked_zeros(), file.tensor(key + ".zeros")));
    EXPECT_TRUE(same_bits(awq_words(f.codes(), K), file.tensor(key + ".qweight")));
    EXPECT_TRUE(same_bits(awq_words(f.zeros(), f.groups()), file.tensor(key + ".qzeros")));
  }
}

/// Codes u8 (R, C), one a byte, from values i8 with 2^(bits−1) added, packed in rows.
Tensor rows_of_values(const Tensor& values, int bits) {
  const i64 R = values.dim(0), C = values.dim(1), row = packed_bytes(C, bits);
  Tensor rows = Tensor::empty({R, row}, DType::u8);
  std::vector<u8> codes(static_cast<std::size_t>(C));
  for (i64 r = 0; r < R; ++r) {
    for (i64 c = 0; c < C; ++c)
      codes[static_cast<std::size_t>(c)] = static_cast<u8>(values.data<i8>()[r * C + c] + (1 << (bits - 1)));
    pack_codes(codes.data(), C, bits, rows.data<u8>() + r * row);
  }
  return rows;
}

void expect_words(const Tensor& values, const Tensor& words, int bits, WordPacking packing) {
  const Tensor rows = rows_of_values(values, bits);
  EXPECT_TRUE(same_bits(rows_of_words(words, values.dim(1), bits, packing), rows));
  EXPECT_TRUE(same_bits(words_of_rows(rows, values.dim(1), bits, packing), words));
}

TEST(CompressedTensors, WordsOfTheReferenceComeApartAndTogether) {
  if (!fs::exists(kCompressed)) GTEST_SKIP() << kCompressed << " is not here";
  for (const auto& [name, packing] : {std::pair("pack_int32.safetensors", WordPacking::dense),
                                      std::pair("legacy.safetensors", WordPacking::padded)}) {
    const SafeTensors file = SafeTensors::open(kCompressed / name);
    int cases = 0;
    for (const std::string& key : file.names()) {
      if (!key.ends_with(".values")) continue;
      SCOPED_TRACE(key);
      ++cases;
      const std::string stem = key.substr(0, key.rfind('.'));
      const int bits = key[key.find('b') + 1] - '0';
      const Tensor values = file.tensor(key);
      expect_words(values, file.tensor(stem + ".dim1"), bits, packing);
      expect_words(transposed(values), transposed(file.tensor(stem + ".dim0")), bits, packing);
    }
    EXPECT_GE(cases, 8) << name;
  }
}

TEST(CompressedTensors, SparseMatricesOfTheReferenceAreItsDenseOnes) {
  if (!fs::exists(kCompressed)) GTEST_SKIP() << kCompressed << " is not here";
  const SafeTensors file = SafeTensors::open(kCompressed / "legacy.safetensors");
  int cases = 0;
  for (const std::string& key : file.names()) {
    if (!key.ends_with(".dense")) continue;
    SCOPED_TRACE(key);
    ++cases;
    const std::string stem = key.substr(0, key.rfind('.'));
    const SafeTensors::Info info = file.info(key);
    const i64 N = info.shape[0], K = info.shape[1];
    const bool fp8 = info.dtype == "F8_E4M3", int8 = info.dtype == "I8";
    const auto compressed = file.info(stem + ".compressed");
    std::vector<LinearPart> parts = {
        {".weight.bitmask", file.tensor(stem + ".bitmask")},
        {".weight.shape", file.tensor(stem + ".shape")},
        {".weight.compressed",
         fp8 ? file.bytes(stem + ".compressed").reshaped(Shape(std::span<const i64>(compressed.shape)))
             : file.tensor(stem + ".compressed"),
         compressed.dtype}};
    if (file.has(stem + ".row_offsets"))
      parts.push_back({".weight.row_offsets", file.tensor(stem + ".row_offsets")});
    json config = {
        {"quant_method", "compressed-tensors"},
        {"sparsity_config", {{"format", stem[0] == '2' ? "sparse-24-bitmask" : "sparse-bitmask"}}}};
    if (fp8 || int8) {
      parts.push_back({".weight_scale", Tensor::of({1}, std::vector<float>{0.5f})});
      config["format"] = fp8 ? "float-quantized" : "int-quantized";
      config["config_groups"]["group_0"] = {
          {"targets", {"Linear"}},
          {"weights", {{"num_bits", 8}, {"type", fp8 ? "float" : "int"}, {"strategy", "tensor"}}}};
    }
    LinearFile linear(parts);
    const Weight w = linear.read(config, N, K);
    EXPECT_EQ(linear.used().size(), parts.size());
    const Tensor all = w.decode_all();
    for (i64 i = 0; i < N * K; ++i) {
      const float want = fp8    ? e4m3_value(file.bytes(key).data<u8>()[i]) * 0.5f
                         : int8 ? static_cast<float>(file.tensor(key).data<i8>()[i]) * 0.5f
                                : file.tensor(key).to_f32().f32()[i];
      ASSERT_EQ(all.f32()[i], want) << i;
    }
  }
  EXPECT_EQ(cases, 20);
}

TEST(SmallFloats, AreThoseOfTheReferencesTables) {
  const fs::path floats = fs::path(PARE_SHARED) / "fixtures/quant/mx/floats.safetensors";
  if (!fs::exists(floats)) GTEST_SKIP() << floats << " is not here";
  const SafeTensors file = SafeTensors::open(floats);
  const Tensor e4m3 = file.tensor("e4m3fn.table_f32"), e8m0 = file.tensor("e8m0fnu.table_f32");
  for (int code = 0; code < 256; ++code) {
    const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
    EXPECT_TRUE(same(e4m3_value(static_cast<u8>(code)), e4m3.f32()[code])) << code;
    EXPECT_TRUE(same(e8m0_value(static_cast<u8>(code)), e8m0.f32()[code])) << code;
  }
}

}  // namespace
}  // namespace pare
