// Bits of ggml: what blocks decode to, and what the reference quantiser makes of f32 rows.
#include <gtest/gtest.h>

#include <cstring>

#include "base/json.h"
#include "io/safetensors.h"
#include "weights/ggml_block.h"
#include "weights/ggml_encode.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(PARE_SHARED) / "fixtures/quant/gguf";

i64 differing_bytes(const Tensor& a, const Tensor& b) {
  if (a.bytes() != b.bytes()) return -1;
  i64 n = 0;
  for (i64 i = 0; i < a.bytes(); ++i)
    n += static_cast<const u8*>(a.raw())[i] != static_cast<const u8*>(b.raw())[i];
  return n;
}

struct Case {
  std::string key, input;
  GgmlType type;
  bool by_us;  // from an input that is there
  bool imatrix;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  const json all = read_json(kFolder / "blocks.json");
  for (const json& c : all["cases"]) {
    const auto type = ggml_type_named(c["type"].get<std::string>());
    if (type && ggml_type_info(*type).packed)
      out.push_back({c["key"], c.value("input", ""), *type, c.contains("input"), c.value("imatrix", false)});
  }
  return out;
}

TEST(GgmlBlocks, DecodeToTheReferencesFloatsBitForBit) {
  if (!fs::exists(kFolder)) GTEST_SKIP() << kFolder << " is not here";
  const SafeTensors file = SafeTensors::open(kFolder / "blocks.safetensors");
  int seen = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.key);
    const Tensor packed = file.tensor(c.key + ".packed"), want = file.tensor(c.key + ".dequant");
    const Weight w(std::make_shared<GgmlBlockWeight>(c.key, c.type, want.dim(0), want.dim(1), packed));
    EXPECT_EQ(differing_bytes(w.decode_all(), want), 0);
    ++seen;
  }
  EXPECT_EQ(seen, 64);
}

TEST(GgmlBlocks, EncodeToTheReferencesBytes) {
  if (!fs::exists(kFolder)) GTEST_SKIP() << kFolder << " is not here";
  const SafeTensors file = SafeTensors::open(kFolder / "blocks.safetensors");
  int seen = 0, with_importance = 0;
  for (const Case& c : cases()) {
    if (!c.by_us) continue;
    SCOPED_TRACE(c.key);
    const Tensor in = file.tensor("in." + c.input), want = file.tensor(c.key + ".packed");
    Tensor out = Tensor::zeros(want.shape(), DType::u8), importance;
    if (c.imatrix) importance = scaled_importance(c.key, file.tensor("imatrix." + c.input), in.dim(1));
    for (i64 n = 0; n < in.dim(0); ++n)
      encode_ggml(c.type,
                  in.f32() + n * in.dim(1),
                  in.dim(1),
                  importance.defined() ? importance.f32() : nullptr,
                  out.data<u8>() + n * out.dim(1));
    EXPECT_EQ(differing_bytes(out, want), 0) << "of " << out.bytes();
    ++seen;
    with_importance += c.imatrix;
  }
  EXPECT_EQ(seen, 53);
  EXPECT_EQ(with_importance, 20);
}

TEST(GgmlBlocks, HalvesAreTheReferencesToo) {
  if (!fs::exists(kFolder)) GTEST_SKIP() << kFolder << " is not here";
  const SafeTensors file = SafeTensors::open(kFolder / "blocks.safetensors");
  for (const std::string input : {"gauss", "heavy", "edge"}) {
    const Tensor in = file.tensor("in." + input);
    Tensor out = Tensor::empty({in.count() * 2}, DType::u8);
    encode_ggml(GgmlType::f16, in.f32(), in.count(), out.data<u8>());
    EXPECT_EQ(differing_bytes(out, file.tensor("F16." + input)), 0) << input;
    encode_ggml(GgmlType::bf16, in.f32(), in.count(), out.data<u8>());
    EXPECT_EQ(differing_bytes(out, file.tensor("BF16." + input + ".bytes")), 0) << input;
  }
}

}  // namespace
}  // namespace pare
