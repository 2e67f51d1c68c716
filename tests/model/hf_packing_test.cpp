// What the methods make of our own formats, read again by their readers: the same numbers, or none.
#include "model/hf_packing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/linear_file.h"
#include "weights/bits.h"
#include "weights/convert.h"
#include "weights/float_group_encode.h"
#include "weights/format_checks.h"
#include "weights/int8_row.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

/// A weight through the files of a method, and the configuration that went with it.
Weight through(HfPacking& packing, const Weight& w, json* config = nullptr) {
  const LinearForm form = form_of(w);
  EXPECT_EQ(packing.refusal(form), "") << form.name;
  EXPECT_TRUE(packing.settle({{"x", form}}).empty());
  const PackedLinear packed = packing.pack("x", w);
  const std::vector<HfPart> parts = packing.parts(form);
  EXPECT_EQ(parts.size(), packed.tensors.size());
  std::vector<LinearPart> stored;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::vector<i64> dims;
    for (i64 d = 0; d < packed.tensors[i].shape().rank(); ++d) dims.push_back(packed.tensors[i].dim(d));
    EXPECT_EQ(parts[i].shape, dims) << parts[i].suffix;
    stored.push_back({parts[i].suffix, packed.tensors[i], parts[i].dtype});
  }
  LinearFile file(stored);
  const json said = packing.config({});
  if (config) *config = said;
  const Weight again = file.read(said, w.rows(), w.cols());
  EXPECT_EQ(file.used().size(), parts.size()) << "tensors that nobody reads";
  EXPECT_TRUE(same_bits(again.decode_all(), packed.read.decode_all())) << "max_error would be another's";
  return again;
}

Tensor rounded(const Tensor& values, DType dtype) {
  Tensor out = values.clone();
  round_to(dtype, out.f32(), out.count());
  return out;
}

/// Weights of both signs, rows above zero (zero points 0, which GPTQ v1 borrows for), a row of zeros.
Tensor sample(i64 N, i64 K, u64 seed) {
  Tensor t = normal_tensor({N, K}, seed, 0.05);
  for (i64 i = 0; i < t.count(); ++i) {
    if (i / K % 3 == 0) t.f32()[i] += 1;
    if (i / K == 1) t.f32()[i] = 0;
  }
  return t;
}

struct Integers {
  int bits;
  i64 group;
  bool symmetric;
};

std::vector<Integers> all_integers() {
  std::vector<Integers> all;
  for (int bits = 2; bits <= 8; ++bits)
    for (const i64 group : {0, 32})
      for (const bool symmetric : {true, false}) all.push_back({bits, group, symmetric});
  return all;
}

TEST(HfPacking, GptqKeepsIntegersAndRoundsWeightsToF16) {
  int kept = 0;
  for (const auto& [bits, group, symmetric] : all_integers())
    for (const GptqZeros version : {GptqZeros::v1, GptqZeros::v2}) {
      if (version == GptqZeros::v2 && group == 0) continue;
      const Weight w = quantize_int_group(sample(64, 96, static_cast<u64>(bits)), {bits, group, symmetric});
      SCOPED_TRACE(w.format().name());
      const bool known = bits == 2 || bits == 3 || bits == 4 || bits == 8;
      const auto packing = gptq_packing(version);
      EXPECT_EQ(packing->refusal(form_of(w)).empty(), known);
      if (!known) continue;
      json config;
      const Weight again = through(*packing, w, &config);
      EXPECT_TRUE(same_bits(again.decode_all(), rounded(w.decode_all(), DType::f16)));
      EXPECT_EQ(config["sym"], symmetric);
      EXPECT_EQ(config["desc_act"], false);
      ++kept;
    }
  EXPECT_EQ(kept, 4 * 2 * 3);
}

TEST(HfPacking, AwqKeepsEachBitOfFourBitIntegers) {
  for (const auto& [bits, group, symmetric] : all_integers())
    for (const auto& [N, K] : {std::pair<i64, i64>(8, 64), {24, 192}}) {
      const Weight w = quantize_int_group(sample(N, K, 5), {bits, group, symmetric});
      SCOPED_TRACE(w.format().name());
      const auto packing = awq_packing();
      EXPECT_EQ(packing->refusal(form_of(w)).empty(), bits == 4);
      if (bits != 4) continue;
      EXPECT_TRUE(same_bits(through(*packing, w).decode_all(), w.decode_all()));
    }
}

TEST(HfPacking, CompressedTensorsKeepsEachBitOfIntegers) {
  int kept = 0, narrow = 0, cut = 0;
  for (const auto& [bits, group, symmetric] : all_integers())
    for (const auto& [N, K] : {std::pair<i64, i64>(33, 192), {7, 64}, {2, 65}}) {
      const Weight w = quantize_int_group(sample(N, K, 6), {bits, group, symmetric});
      SCOPED_TRACE(fmt::format("{} {}x{}", w.format().name(), N, K));
      const auto packing = compressed_tensors_packing(DType::bf16, nullptr);
      const std::string refused = packing->refusal(form_of(w));
      EXPECT_EQ(refused == "the last group is short", group && K % group);
      cut += refused == "the last group is short";
      narrow += refused.find("two ways") != std::string::npos;
      if (!refused.empty()) continue;
      EXPECT_TRUE(same_bits(through(*packing, w).decode_all(), w.decode_all()));
      ++kept;
    }
  EXPECT_EQ(kept + narrow + cut, 7 * 2 * 2 * 3);
  EXPECT_EQ(cut, 7 * 2);
  EXPECT_GT(narrow, 0);
  EXPECT_GT(kept, narrow);
}

TEST(HfPacking, EightBitsWithActivationsAreBytes) {
  const json activations = {{"num_bits", 8}, {"type", "int"}, {"dynamic", true}, {"strategy", "token"}};
  for (const bool symmetric : {true, false})
    for (const i64 group : {0, 32}) {
      const Weight w = quantize_int_group(sample(24, 96, 7), {8, group, symmetric});
      json config;
      const Weight again = through(*compressed_tensors_packing(DType::bf16, activations), w, &config);
      EXPECT_TRUE(same_bits(again.decode_all(), w.decode_all()));
      EXPECT_EQ(config["format"], "int-quantized");
      EXPECT_EQ(config["config_groups"]["group_0"]["input_activations"], activations);
    }
}

TEST(HfPacking, GroupsByAMapStayWithTheirInputs) {
  constexpr i64 N = 32, K = 128, G = 4;
  Rng rng(4);
  const Weight plain = quantize_int_group(normal_tensor({N, K}, 9), {4, 32, false});
  const auto& f = dynamic_cast<const IntGroupWeight&>(plain.format());
  Tensor index = Tensor::empty({K}, DType::i32);
  for (i64 k = 0; k < K; ++k) index.data<i32>()[k] = static_cast<i32>(rng.below(G));
  const Weight w(std::make_shared<IntGroupWeight>(
      "x", N, K, IntGroupOptions{4, 32, false}, f.codes(), f.scales(), f.zeros(), index));
  json config;
  const Weight gptq = through(*gptq_packing(GptqZeros::v1), w, &config);
  EXPECT_TRUE(same_bits(gptq.decode_all(), rounded(w.decode_all(), DType::f16)));
  EXPECT_EQ(config["desc_act"], true);
  const Weight compressed = through(*compressed_tensors_packing(DType::bf16, nullptr), w, &config);
  EXPECT_TRUE(same_bits(compressed.decode_all(), w.decode_all()));
  EXPECT_EQ(config["config_groups"]["group_0"]["weights"]["actorder"], "group");
  EXPECT_NE(awq_packing()->refusal(form_of(w)), "");
}

TEST(HfPacking, RowsOfInt8GoOver) {
  const Weight w = quantize_int8_row(normal_tensor({32, 64}, 10));
  const Tensor want = w.decode_all();
  EXPECT_TRUE(same_bits(through(*bitsandbytes_packing(DType::bf16), w).decode_all(), w.decode_all()));
  // One scale of f32 for two factors: a unit in the last place.
  const Tensor compressed = through(*compressed_tensors_packing(DType::bf16, nullptr), w).decode_all();
  for (i64 i = 0; i < compressed.count(); ++i)
    EXPECT_NEAR(compressed.f32()[i], want.f32()[i], 2e-7f * std::abs(compressed.f32()[i]));
  // The scale in f16: half a unit of 11 bits, and as much again for the product.
  const Tensor gptq = through(*gptq_packing(GptqZeros::v2), w).decode_all();
  for (i64 i = 0; i < gptq.count(); ++i)
    EXPECT_NEAR(gptq.f32()[i], want.f32()[i], 0x1p-10f * std::abs(gptq.f32()[i]));
}

TEST(HfPacking, BitsandbytesKeepsEachBitOfTables) {
  for (const Code4 code : {Code4::nf4, Code4::fp4})
    for (const i64 block : {64, 4096})
      for (const bool nested : {false, true})
        for (const DType values : {DType::f32, DType::f16}) {
          const Weight w = quantize_codebook4(normal_tensor({35, 33}, 11), {code, block, nested, values});
          SCOPED_TRACE(w.format().name());
          EXPECT_TRUE(same_bits(through(*bitsandbytes_packing(DType::bf16), w).decode_all(), w.decode_all()));
        }
}

TEST(HfPacking, CompressedTensorsKeepsEachBitOfFloats) {
  for (const FloatScheme scheme : {FloatScheme::fp8_tensor,
                                   FloatScheme::fp8_row,
                                   FloatScheme::fp8_block,
                                   FloatScheme::mxfp8,
                                   FloatScheme::mxfp4,
                                   FloatScheme::nvfp4})
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Tensor dense = sample(130, 160, 12);
      const Weight w = quantize_float_group(dtype == DType::f32 ? dense : dense.to(dtype), scheme);
      SCOPED_TRACE(w.format().name());
      const Tensor again = through(*compressed_tensors_packing(DType::bf16, nullptr), w).decode_all();
      // Scales of one byte have no dtype: values take the model's.
      const bool real = dynamic_cast<const FloatGroupWeight&>(w.format()).choice().scale == BlockScale::real;
      EXPECT_TRUE(same_bits(again, real ? w.decode_all() : rounded(w.decode_all(), DType::bf16)));
    }
}

TEST(HfPacking, MasksAreWrittenForOldReaders) {
  Tensor dense = normal_tensor({16, 64}, 13);
  for (i64 i = 0; i < dense.count(); ++i)
    if (i % 4 == 1 || i % 4 == 2) dense.f32()[i] = 0;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const Weight w = sparse_mask_weight(dtype == DType::f32 ? dense : dense.to(dtype));
    for (const SparseLayout layout : {SparseLayout::any, SparseLayout::two_of_four})
      EXPECT_TRUE(same_bits(through(*sparse_packing(layout), w).decode_all(), w.decode_all()));
  }
  dense.f32()[1] = 1;  // three of four
  const LinearForm other = form_of(sparse_mask_weight(dense));
  EXPECT_EQ(sparse_packing(SparseLayout::any)->refusal(other), "");
  EXPECT_NE(sparse_packing(SparseLayout::two_of_four)->refusal(other), "");
  EXPECT_NE(compressed_tensors_packing(DType::bf16, nullptr)->refusal(other).find("sparse-bitmask"),
            std::string::npos);
}

TEST(HfPacking, WhatAMethodCannotHoldIsRefusedWithAReason) {
  const auto integers = [](i64 N, i64 K, int bits, i64 group) {
    return form_of(quantize_int_group(normal_tensor({N, K}, 14), {bits, group, true}));
  };
  const auto gptq = gptq_packing(GptqZeros::v1), awq = awq_packing();
  const auto bnb = bitsandbytes_packing(DType::bf16);
  const auto compressed = compressed_tensors_packing(DType::bf16, nullptr);
  EXPECT_NE(gptq->refusal(integers(64, 128, 5, 32)).find("5 bits"), std::string::npos);
  EXPECT_NE(gptq->refusal(integers(64, 124, 4, 32)).find("32 bits"), std::string::npos);  // inputs
  EXPECT_NE(gptq->refusal(integers(60, 128, 4, 32)).find("32 bits"), std::string::npos);  // zero points
  EXPECT_NE(awq->refusal(integers(60, 128, 4, 32)).find("by 8"), std::string::npos);
  EXPECT_NE(awq->refusal(integers(64, 80, 4, 64)).find("short"), std::string::npos);
  EXPECT_NE(compressed->refusal(integers(64, 80, 4, 64)).find("short"), std::string::npos);
  EXPECT_NE(bnb->refusal(integers(64, 128, 4, 64)).find("nf4"), std::string::npos);
  // A scale that f16 does not hold.
  const Weight large = quantize_int_group(normal_tensor({64, 128}, 15, 1e6), {4, 64, true});
  EXPECT_NE(gptq->refusal(form_of(large)).find("f16"), std::string::npos);
  EXPECT_NE(awq->refusal(form_of(large)).find("f16"), std::string::npos);
  EXPECT_EQ(compressed->refusal(form_of(large)), "");
  const LinearForm dense = form_of(Weight(normal_tensor({32, 64}, 16)));
  for (const auto* packing : {gptq.get(), awq.get(), bnb.get(), compressed.get()})
    EXPECT_NE(packing->refusal(dense), "");
}

TEST(HfPacking, OneLinearWithZeroPointsGivesThemToItsLikes) {
  const auto packing = compressed_tensors_packing(DType::bf16, nullptr);
  const Weight with = quantize_int_group(normal_tensor({32, 64}, 17), {4, 32, false});
  const Weight without = quantize_int_group(normal_tensor({32, 64}, 18), {4, 32, true});
  packing->settle({{"a", form_of(with)}, {"b", form_of(without)}});
  const json config = packing->config({});
  ASSERT_EQ(config["config_groups"].size(), 1u);
  EXPECT_EQ(config["config_groups"]["group_0"]["weights"]["symmetric"], false);
  const PackedLinear packed = packing->pack("b", without);
  ASSERT_EQ(packed.tensors.size(), 4u);
  for (const i32 word : packed.tensors[3].span<i32>()) EXPECT_EQ(static_cast<u32>(word), 0x88888888u);
}

}  // namespace
}  // namespace pare
