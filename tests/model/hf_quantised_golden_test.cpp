// Whole models of GPTQ, AWQ, bitsandbytes and compressed-tensors tools: weights are the reference's bits,
// logits those of its dequantised weights, and what lies in memory is packed.
#include <gtest/gtest.h>

#include <cstring>

#include "model/fixture.h"
#include "model/hf_quantised.h"
#include "model/load.h"
#include "weights/blockwise8.h"
#include "weights/codebook4.h"
#include "weights/convert.h"
#include "weights/format_checks.h"
#include "weights/int8_row.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kQuant = fs::path(PARE_SHARED) / "fixtures/quant";
// What the fixtures recommend for f32 logits of dequantised weights.
constexpr double kLogits = 1e-3;

struct Case {
  const char *folder, *format;  // the format of the linears in blocks
};

/// A 4-bit weight as the fixtures of bitsandbytes hold it. On a CPU with AVX-512 that library repacks codes
/// and scales in place for its product, and what it dequantises afterwards is read from the repacked bytes as
/// if they were not: blocks of 32 rows, columns in pairs, the later half of 64 codes in the high nibbles;
/// scales bf16, turned. The files and its logits are right: what is compared here is this very rearrangement.
Weight as_repacked_by_bitsandbytes(const Weight& w) {
  const auto& q = dynamic_cast<const Codebook4Weight&>(w.format());
  const i64 N = q.rows(), K = q.cols(), block = q.choice().block, B = K / block;
  std::vector<u8> codes;
  for (i64 n0 = 0; n0 < N; n0 += 32)
    for (i64 k = 0; k < K; k += 2)
      for (i64 i = 0; i < 64; ++i) {
        const i64 at = (n0 + i / 2) * K + k + i % 2;
        const u8 byte = q.parts().codes.data<u8>()[at / 2];
        codes.push_back(at % 2 ? byte & 15 : byte >> 4);
      }
  Tensor packed = Tensor::empty({N * K / 2}, DType::u8), absmax = Tensor::empty({N * B});
  for (i64 i = 0; i < N * K / 2; ++i) {
    const i64 from = i / 32 * 64 + i % 32;
    packed.data<u8>()[i] = static_cast<u8>(codes[from + 32] << 4 | codes[from]);
  }
  std::vector<float> scales(static_cast<std::size_t>(N * B));
  if (q.choice().double_quantized) {
    dequantize_blockwise8(
        q.parts().absmax.data<u8>(), q.parts().nested_absmax.f32(), N * B, 256, scales.data());
    for (float& s : scales) s += q.parts().nested_offset.f32()[0];
  } else {
    std::copy_n(q.parts().absmax.f32(), N * B, scales.data());
  }
  for (i64 n = 0; n < N; ++n)
    for (i64 b = 0; b < B; ++b) absmax.f32()[b * N + n] = scales[n * B + b];
  round_to(DType::bf16, absmax.f32(), N * B);
  Codebook4Options o = q.choice();
  o.double_quantized = false;
  return Weight(
      std::make_shared<Codebook4Weight>("repacked", N, K, o, Codebook4Weight::Parts{packed, absmax, {}, {}}));
}

Model load_as_in_fixtures(const fs::path& dir) {
  Model m = load_model(dir);
  for (LayerParams& y : m.params.layers)
    for (Weight* w : {&y.wq, &y.wk, &y.wv, &y.wo, &y.w_gate, &y.w_up, &y.w_down})
      if (w->format().options()["format"] == "codebook4") *w = as_repacked_by_bitsandbytes(*w);
  return m;
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.folder; }

class HfQuantisedModel : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  }
  fs::path dir() const { return kQuant / GetParam().folder; }
  SafeTensors expected() const { return SafeTensors::open(dir() / "expected.safetensors"); }
};

TEST_P(HfQuantisedModel, LogitsAreThoseOfTheDequantisedWeights) {
  const SafeTensors golden = expected();
  const Tensor want = golden.tensor("logits_f32_dequant");
  const Tensor logits =
      fixture::logits_of(load_as_in_fixtures(dir()), fixture::ids(golden.tensor("input_ids")));
  ASSERT_EQ(logits.count(), want.count());
  EXPECT_LE(fixture::max_difference(logits.f32(), want.f32(), want.count()), kLogits);
}

TEST_P(HfQuantisedModel, WeightsAreTheReferencesBits) {
  const SafeTensors golden = expected();
  const Model m = load_as_in_fixtures(dir());
  int compared = 0;
  each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) {
      if (!golden.has("W." + name)) return;
      const Tensor stored = golden.tensor("W." + name), want = stored.to_f32();
      // AWQ multiplies in f32 and the fixtures keep its weights in f16; all others are of that dtype already.
      const bool awq = std::string(GetParam().folder).starts_with("awq/");
      const Tensor got = awq ? member.decode_all().to(stored.dtype()).to_f32() : member.decode_all();
      i64 different = 0;
      for (i64 i = 0; i < want.count(); ++i)
        different += std::memcmp(want.f32() + i, got.f32() + i, sizeof(float)) != 0;
      EXPECT_EQ(different, 0) << name << " of " << want.count();
      ++compared;
    }
  });
  EXPECT_GT(compared, 0);
}

TEST_P(HfQuantisedModel, LinearsStayPackedAndHeadsDense) {
  const Model m = load_model(dir());
  for (const LayerParams& y : m.params.layers)
    for (const Weight& w : {y.wq, y.wk, y.wv, y.wo, y.w_gate, y.w_up, y.w_down}) {
      EXPECT_EQ(w.format().name(), GetParam().format);
      EXPECT_FALSE(w.dense().defined());
    }
  EXPECT_TRUE(m.params.embed.dense().defined());
  EXPECT_TRUE(m.params.head.dense().defined());
}

class BitsandbytesModel : public testing::TestWithParam<std::string> {};

TEST_P(BitsandbytesModel, HoldsWhatWeMakeOfTheSameWeights) {
  if (!fs::exists(kQuant)) GTEST_SKIP() << kQuant << " is not here";
  const Model source = load_model(kQuant / "models/tiny-llama"), m = load_model(kQuant / "bnb" / GetParam());
  const auto same = [](const Weight& theirs, const Tensor& dense) {
    if (const auto* q = dynamic_cast<const Codebook4Weight*>(&theirs.format())) {
      const Stored ours = stored(quantize_codebook4(dense, q->choice())), them = stored(theirs);
      for (const auto& [suffix, t] : ours) EXPECT_TRUE(same_bits(t, them.at(suffix))) << suffix;
      return;
    }
    const auto& q = dynamic_cast<const Int8RowWeight&>(theirs.format());
    const Weight w = quantize_int8_row(dense);
    const auto& ours = dynamic_cast<const Int8RowWeight&>(w.format());
    EXPECT_TRUE(same_bits(ours.scb(), q.scb()));
    for (i64 i = 0; i < dense.count(); ++i) {
      if (ours.codes().data<i8>()[i] == q.codes().data<i8>()[i]) continue;
      // Halfway between two codes the library goes either way, as its products round.
      const double steps = dense.f32()[i] * 127.0 / q.scb().f32()[i / dense.dim(1)];
      EXPECT_NEAR(std::abs(steps - std::trunc(steps)), 0.5, 1e-5);
    }
  };
  for (std::size_t l = 0; l < m.params.layers.size(); ++l) {
    const LayerParams &a = m.params.layers[l], &b = source.params.layers[l];
    same(a.wq, b.wq.decode_all());
    same(a.wo, b.wo.decode_all());
    same(a.w_down, b.w_down.decode_all());
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         BitsandbytesModel,
                         testing::Values("tiny-llama-nf4-dq", "tiny-llama-fp4", "tiny-llama-int8"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

INSTANTIATE_TEST_SUITE_P(All,
                         HfQuantisedModel,
                         testing::Values(Case{"gptq/tiny-llama-w4-g32-sym", "int4_g32"},
                                         Case{"gptq/tiny-llama-w4-g32-asym-act", "int4_g32_asym_act"},
                                         Case{"gptq/tiny-llama-w4-g128-asym-v2", "int4_g128_asym"},
                                         Case{"gptq/tiny-llama-w8-gm1-sym", "int8_row"},
                                         Case{"awq/tiny-llama-awq-g32", "int4_g32_asym"},
                                         Case{"awq/tiny-llama-awq-g128", "int4_g128_asym"},
                                         Case{"bnb/tiny-llama-nf4-dq", "nf4_b64_dq"},
                                         Case{"bnb/tiny-llama-fp4", "fp4_b64"},
                                         Case{"bnb/tiny-llama-int8", "int8_row"},
                                         Case{"compressed_tensors/tiny-llama-W4A16", "int4_g128"},
                                         Case{"compressed_tensors/tiny-llama-W4A16_ASYM", "int4_g128_asym"},
                                         Case{"compressed_tensors/tiny-llama-W3A16", "int3_g128"},
                                         Case{"compressed_tensors/tiny-llama-W8A8", "int8_row"},
                                         Case{"compressed_tensors/tiny-llama-FP8", "fp8_tensor"},
                                         Case{"compressed_tensors/tiny-llama-FP8_DYNAMIC", "fp8_row"},
                                         Case{"compressed_tensors/tiny-llama-FP8_BLOCK", "fp8_128x128"},
                                         Case{"compressed_tensors/tiny-llama-NVFP4A16", "nvfp4"},
                                         Case{"compressed_tensors/tiny-llama-MXFP4A16", "mxfp4"},
                                         Case{"compressed_tensors/tiny-llama-MXFP8A16", "mxfp8"}),
                         [](const auto& test) {
                           std::string name = test.param.folder;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace pare
