// bitsandbytes' keys: 4 bits with and without double quantisation and int8 come back from our own parts; what
// does not fit is refused by name.
#include "model/linear_file.h"
#include "weights/blockwise8.h"
#include "weights/codebook4.h"
#include "weights/format_checks.h"
#include "weights/int8_row.h"

namespace pare {
namespace {

const json kFourBit = {
    {"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
const json kInt8 = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}};

Tensor text_bytes(const std::string& text) {
  Tensor t = Tensor::empty({static_cast<i64>(text.size())}, DType::u8);
  std::copy(text.begin(), text.end(), t.data<u8>());
  return t;
}
Tensor table(std::span<const float> values) { return Tensor::of({static_cast<i64>(values.size())}, values); }

json state_of(const Codebook4Options& o, float offset) {
  json state = {{"quant_type", o.code == Code4::nf4 ? "nf4" : "fp4"},
                {"blocksize", o.block},
                {"dtype",
                 o.values == DType::bf16  ? "bfloat16"
                 : o.values == DType::f16 ? "float16"
                                          : "float32"},
                {"shape", {16, 96}}};
  if (o.double_quantized)
    state.update({{"nested_blocksize", 256}, {"nested_dtype", "float32"}, {"nested_offset", offset}});
  return state;
}

/// A weight (16, 96) as bitsandbytes stores it, and the JSON of its state with `changes`.
std::vector<LinearPart> parts_of(const Weight& w, const json& changes = json::object()) {
  const auto& f = dynamic_cast<const Codebook4Weight&>(w.format());
  const auto& p = f.parts();
  const bool twice = f.choice().double_quantized;
  json state = state_of(f.choice(), twice ? p.nested_offset.f32()[0] : 0);
  state.update(changes);
  const std::string code = f.choice().code == Code4::nf4 ? "nf4" : "fp4";
  std::vector<LinearPart> parts = {{".weight", p.codes.reshaped({p.codes.count(), 1})},
                                   {".weight.absmax", p.absmax},
                                   {".weight.quant_map", table(code4_table(f.choice().code))},
                                   {".weight.quant_state.bitsandbytes__" + code, text_bytes(state.dump())}};
  if (!twice) return parts;
  parts.push_back({".weight.nested_absmax", p.nested_absmax});
  parts.push_back({".weight.nested_quant_map", table(dynamic_map8())});
  return parts;
}

TEST(Bitsandbytes, FourBitWeightsComeBackInEveryDtype) {
  const Tensor w = normal_tensor({16, 96}, 1);
  for (const Code4 code : {Code4::nf4, Code4::fp4})
    for (const bool twice : {false, true})
      for (const DType values : {DType::f32, DType::bf16, DType::f16}) {
        const Weight q = quantize_codebook4(w, {code, 64, twice, values});
        LinearFile file(parts_of(q));
        const Weight again = file.read(kFourBit, 16, 96);
        EXPECT_EQ(again.format().name(), q.format().name());
        EXPECT_TRUE(same_bits(again.decode_all(), q.decode_all()));
        EXPECT_EQ(file.used().size(), twice ? 6u : 4u);
      }
}

TEST(Bitsandbytes, CodesMayBeStoredInAnyDtype) {
  const Weight q = quantize_codebook4(normal_tensor({16, 96}, 2), {});
  auto parts = parts_of(q);
  const Tensor bytes = parts[0].tensor;
  parts[0].tensor =
      Tensor::view({bytes.count() / 2, 1}, DType::bf16, bytes.raw(), std::make_shared<Tensor>(bytes));
  EXPECT_TRUE(same_bits(LinearFile(parts).read(kFourBit, 16, 96).decode_all(), q.decode_all()));
}

TEST(Bitsandbytes, WhatDoesNotFitIsRefusedByName) {
  const Weight q = quantize_codebook4(normal_tensor({16, 96}, 3), {Code4::nf4, 64, true});
  const auto whole = parts_of(q);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].suffix.find("quant_state") != std::string::npos) continue;  // without it the weight is dense
    auto parts = whole;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_NE(refusal_of(parts, kFourBit, 16, 96).find("x" + whole[i].suffix), std::string::npos);
    parts = whole;
    parts[i].tensor = Tensor::zeros({5}, whole[i].tensor.dtype());
    EXPECT_NE(refusal_of(parts, kFourBit, 16, 96).find("x.weight"), std::string::npos);
  }
  auto other_table = whole;
  other_table[2].tensor = other_table[2].tensor.clone();
  other_table[2].tensor.f32()[3] = 0.25f;
  EXPECT_NE(refusal_of(other_table, kFourBit, 16, 96).find("entry 3"), std::string::npos);
  for (const auto& [key, value] : std::vector<std::pair<const char*, json>>{{"quant_type", "fp4"},
                                                                            {"blocksize", 48},
                                                                            {"blocksize", 1 << 20},
                                                                            {"dtype", "int8"},
                                                                            {"shape", {96, 16}},
                                                                            {"shape", "16x96"},
                                                                            {"nested_blocksize", 128},
                                                                            {"nested_dtype", "float16"},
                                                                            {"nested_offset", "0.1"},
                                                                            {"codebook", 1}}) {
    const std::string message = refusal_of(parts_of(q, {{key, value}}), kFourBit, 16, 96);
    const std::string named = std::string(key) == "blocksize" ? "block" : key;
    EXPECT_NE(message.find(named), std::string::npos) << message;
  }
  auto no_json = whole;
  no_json[3].tensor = text_bytes("{\"quant_type\": ");
  EXPECT_NE(refusal_of(no_json, kFourBit, 16, 96).find("quant_state"), std::string::npos);
}

TEST(Bitsandbytes, Int8RowsComeBackAndTheirPartsAreChecked) {
  const Weight q = quantize_int8_row(normal_tensor({16, 96}, 4));
  const auto& f = dynamic_cast<const Int8RowWeight&>(q.format());
  Tensor row_major = Tensor::zeros({1}, DType::u8).reshaped(Shape(std::span<const i64>()));
  std::vector<LinearPart> parts = {{".weight", f.codes()}, {".SCB", f.scb()}, {".weight_format", row_major}};
  EXPECT_TRUE(same_bits(LinearFile(parts).read(kInt8, 16, 96).decode_all(), q.decode_all()));
  EXPECT_NE(refusal_of(parts, kInt8, 16, 95).find("x.weight"), std::string::npos);
  parts[2].tensor = Tensor::of({1}, std::vector<float>{0});
  EXPECT_NE(refusal_of(parts, kInt8, 16, 96).find("x.weight_format"), std::string::npos);
  parts[2].tensor = row_major.clone();
  parts[2].tensor.data<u8>()[0] = 2;
  EXPECT_NE(refusal_of(parts, kInt8, 16, 96).find("x.weight_format"), std::string::npos);
  parts.pop_back();
  EXPECT_TRUE(LinearFile(parts).read(kInt8, 16, 96).defined()) << "older files have no format";
  parts[1].tensor = parts[1].tensor.clone();
  parts[1].tensor.f32()[3] = INFINITY;
  EXPECT_NE(refusal_of(parts, kInt8, 16, 96).find("x.weight.scb"), std::string::npos);
  parts.erase(parts.begin());
  EXPECT_NE(refusal_of(parts, kInt8, 16, 96).find("x.weight"), std::string::npos);
}

TEST(Bitsandbytes, OptionsThatAreNotKnownAreRefusedByName) {
  const auto parts = parts_of(quantize_codebook4(normal_tensor({16, 96}, 5), {}));
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, json>>{{"load_in_8bit", true},
                                                 {"load_in_4bit", false},
                                                 {"bnb_4bit_quant_type", "af4"},
                                                 {"llm_int8_has_fp16_weight", true},
                                                 {"load_in_2bit", true}}) {
    json config = kFourBit;
    config[key] = value;
    const std::string message = refusal_of(parts, config, 16, 96);
    EXPECT_NE(message.find(key), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace pare
