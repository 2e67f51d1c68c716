// GPTQ's layout comes back from our own words in every width and version; what does not fit is refused.
#include "model/hf_quantised_gptq.h"

#include "model/linear_file.h"
#include "weights/format_checks.h"
#include "weights/int_group.h"
#include "weights/transpose.h"

namespace pare {
namespace {
json config_of(int bits, i64 group, GptqZeros version = GptqZeros::v1) {
  return {{"quant_method", "gptq"},
          {"bits", bits},
          {"group_size", group},
          {"checkpoint_format", version == GptqZeros::v1 ? "gptq" : "gptq_v2"}};
}

/// Parts of a layer that `w` packs, as GPTQ stores them.
std::vector<LinearPart> parts_of(const Weight& w, GptqZeros version = GptqZeros::v1) {
  const auto& f = dynamic_cast<const IntGroupWeight&>(w.format());
  return {{".qweight", gptq_qweight(f.codes())},
          {".qzeros", gptq_qzeros(f.unpacked_zeros(), f.bits(), version)},
          {".scales", transposed(f.scales())}};
}
Tensor& part(std::vector<LinearPart>& parts, const std::string& suffix) {
  for (LinearPart& p : parts)
    if (p.suffix == suffix) return p.tensor;
  throw bug("no part {}", suffix);
}

TEST(Gptq, EveryWidthComesBackFromOurOwnWords) {
  const Tensor w = normal_tensor({32, 96}, 1);
  for (const int bits : {2, 3, 4, 8})
    for (const bool symmetric : {true, false})
      for (const GptqZeros version : {GptqZeros::v1, GptqZeros::v2}) {
        const Weight q = quantize_int_group(w, {bits, 32, symmetric, DType::f16});
        LinearFile file(parts_of(q, version));
        const Weight again = file.read(config_of(bits, 32, version), 32, 96);
        EXPECT_EQ(again.format().name(), q.format().name());
        EXPECT_TRUE(same_bits(again.decode_all(), q.decode_all())) << q.format().name();
        EXPECT_EQ(file.used().size(), 3u);
      }
}

TEST(Gptq, ZeroPointsOfZeroBorrowFromTheirNeighbourInVersion1) {
  Tensor zeros = Tensor::zeros({8, 1}, DType::u8);
  zeros.data<u8>()[1] = 15;
  const Tensor words = gptq_qzeros(zeros, 4, GptqZeros::v1);
  EXPECT_EQ(words.data<i32>()[0], static_cast<i32>(0x000000f0u - 0x11111111u));
  EXPECT_TRUE(same_bits(gptq_zeros(words, 8, 4, GptqZeros::v1), zeros));
}

TEST(Gptq, ZeroPointsAreLeftOutOnlyWhenAllAreTheMiddle) {
  Tensor zeros = Tensor::empty({3, 5}, DType::u8);
  std::fill_n(zeros.data<u8>(), 15, u8{8});
  EXPECT_FALSE(packed_zeros(zeros, 4).defined());
  for (const u8 other : {0, 7, 9, 15}) {
    zeros.data<u8>()[11] = other;
    EXPECT_TRUE(packed_zeros(zeros, 4).defined()) << int{other};
  }
}

TEST(Gptq, ActOrderKeepsInputsInPlace) {
  const Weight q = quantize_int_group(normal_tensor({32, 64}, 2), {4, 32, false, DType::f16});
  auto parts = parts_of(q);
  Tensor index = Tensor::empty({64}, DType::i32);
  for (i64 k = 0; k < 64; ++k) index.data<i32>()[k] = static_cast<i32>(k / 32);
  parts.push_back({".g_idx", index.clone()});
  json config = config_of(4, 32);
  config["desc_act"] = true;
  EXPECT_EQ(LinearFile(parts).read(config, 32, 64).format().name(), "int4_g32_asym")
      << "in order: needs no map";
  for (i64 k = 0; k < 64; ++k) index.data<i32>()[k] = static_cast<i32>(k % 2);
  part(parts, ".g_idx") = index;
  const Weight w = LinearFile(parts).read(config, 32, 64);
  EXPECT_EQ(w.format().name(), "int4_g32_asym_act");
  expect_same_in_any_tile(w);
}

TEST(Gptq, BitsOfSomeModulesComeFromTheirTensors) {
  const Weight q = quantize_int_group(normal_tensor({32, 64}, 3), {8, 16, true, DType::f16});
  json config = config_of(4, 32);
  config["dynamic"] = {{"+:x", {{"bits", 8}, {"group_size", 16}}}};
  EXPECT_TRUE(same_bits(LinearFile(parts_of(q)).read(config, 32, 64).decode_all(), q.decode_all()));
  config.erase("dynamic");
  EXPECT_NE(refusal_of(parts_of(q), config, 32, 64).find("x.qweight"), std::string::npos);
}

TEST(Gptq, TensorsThatDoNotFitAreRefusedByName) {
  const Weight q = quantize_int_group(normal_tensor({32, 64}, 4), {4, 32, true, DType::f16});
  const json config = config_of(4, 32);
  const auto refused = [&](const std::string& suffix, const Tensor& tensor, const json& with) {
    auto parts = parts_of(q);
    if (suffix == ".g_idx") parts.push_back({suffix, tensor});
    std::erase_if(parts, [&](const LinearPart& p) { return p.suffix == suffix && !tensor.defined(); });
    if (tensor.defined()) part(parts, suffix) = tensor;
    const std::string message = refusal_of(parts, with, 32, 64);
    EXPECT_NE(message.find("x" + suffix), std::string::npos) << message;
  };
  for (const char* suffix : {".qzeros", ".scales"}) refused(suffix, {}, config);
  refused(".qweight", words({8, 31}, std::vector<i64>(8 * 31)), config);
  refused(".qweight", words({9, 32}, std::vector<i64>(9 * 32)), config);
  refused(".qweight", Tensor::zeros({8, 32}), config);
  refused(".qzeros", words({2, 5}, std::vector<i64>(10)), config);
  refused(".qzeros", words({1, 4}, std::vector<i64>(4)), config);
  refused(".scales", Tensor::zeros({2, 31}, DType::f16), config);
  refused(".scales", Tensor::zeros({2, 32}, DType::i32), config);
  Tensor infinite = Tensor::zeros({2, 32}, DType::f16);
  infinite.data<u16>()[5] = 0x7c00;
  refused(".scales", infinite, config);
  json act = config;
  act["desc_act"] = true;
  refused(".g_idx", {}, act);
  refused(".g_idx", words({63}, std::vector<i64>(63)), act);
  for (const i64 group : {-1, 2, 1 << 30}) {
    std::vector<i64> groups(64);
    groups[63] = group;
    refused(".g_idx", words({64}, groups), act);
    refused(".g_idx", words({64}, groups), config);
  }
  auto both = parts_of(q);
  both.push_back({".weight", Tensor::zeros({32, 64})});
  EXPECT_NE(refusal_of(both, config, 32, 64).find("both"), std::string::npos);
}

TEST(Gptq, OptionsThatAreNotKnownAreRefusedByName) {
  const auto parts = parts_of(quantize_int_group(normal_tensor({32, 64}, 5), {4, 32, true, DType::f16}));
  const std::vector<std::pair<const char*, json>> bad = {{"bits", 5},
                                                         {"bits", "4"},
                                                         {"group_size", 0},
                                                         {"group_size", -2},
                                                         {"checkpoint_format", "marlin"},
                                                         {"format", "bitblas"},
                                                         {"pack_dtype", "int64"},
                                                         {"is_marlin_format", true},
                                                         {"rotation", "hadamard"},
                                                         {"adapter", {{"name", "eora"}}},
                                                         {"codebook", 3}};
  for (const auto& [key, value] : bad) {
    json config = config_of(4, 32);
    config[key] = value;
    const std::string message = refusal_of(parts, config, 32, 64);
    EXPECT_NE(message.find(key), std::string::npos) << message;
    EXPECT_NE(message.find("quantization_config"), std::string::npos) << message;
  }
  json contradiction = config_of(4, 32);
  contradiction["format"] = "gptq_v2";
  refusal_of(parts, contradiction, 32, 64);
}

}  // namespace
}  // namespace pare
