// Floats of 8 and 4 bits: the values of every code, scales per tensor, row, block and micro-block, storage.
#include "weights/float_group.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "weights/format_checks.h"

namespace pare {
namespace {
Tensor random_bytes(const Shape& shape, u64 seed, const std::function<bool(u8)>& wanted) {
  Tensor t = Tensor::empty(shape, DType::u8);
  Rng rng(seed);
  for (i64 i = 0; i < t.count(); ++i) do {
      t.data<u8>()[i] = static_cast<u8>(rng.below(256));
    } while (!wanted(t.data<u8>()[i]));
  return t;
}
bool is_number(u8 code) { return (code & 0x7f) != 0x7f; }
/// Exponents whose products with any code are normal numbers.
bool is_moderate(u8 code) { return code > 100 && code < 150; }

Tensor ones(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  std::fill_n(t.f32(), t.count(), 1.0f);
  return t;
}

Weight make(i64 N, i64 K, const FloatGroupOptions& o) {
  const i64 rows = o.block_rows ? o.block_rows : N, cols = o.block_cols ? o.block_cols : K;
  const Shape blocks{(N + rows - 1) / rows, (K + cols - 1) / cols};
  FloatGroupWeight::Parts parts;
  parts.codes = random_bytes({N, o.element == MiniFloat::e2m1 ? K / 2 : K}, 1, is_number);
  parts.scales = o.scale == BlockScale::real   ? normal_tensor(blocks, 2).to(o.values)
                 : o.scale == BlockScale::e8m0 ? random_bytes(blocks, 3, is_moderate)
                                               : random_bytes(blocks, 4, is_number);
  if (o.scale == BlockScale::e4m3) parts.global = Tensor::of({1}, std::vector<float>{1234.5f});
  return Weight(std::make_shared<FloatGroupWeight>("made", N, K, o, parts));
}

std::vector<FloatGroupOptions> all_options() {
  std::vector<FloatGroupOptions> all;
  for (const DType values : {DType::bf16, DType::f16, DType::f32}) {
    all.push_back({MiniFloat::e4m3, BlockScale::real, 0, 0, values});
    all.push_back({MiniFloat::e4m3, BlockScale::real, 1, 0, values});
    all.push_back({MiniFloat::e4m3, BlockScale::real, 1, 64, values});
    all.push_back({MiniFloat::e4m3, BlockScale::real, 4, 48, values});
  }
  for (const DType values : {DType::bf16, DType::f32}) {
    all.push_back({MiniFloat::e4m3, BlockScale::e8m0, 1, 32, values});
    all.push_back({MiniFloat::e2m1, BlockScale::e8m0, 1, 32, values});
    all.push_back({MiniFloat::e2m1, BlockScale::e4m3, 1, 16, values});
  }
  return all;
}

TEST(FloatGroup, DecodesAlikeInAnyTileAndComesBackFromStorage) {
  for (const FloatGroupOptions& o : all_options())
    for (const i64 cols : {96, 334}) {
      const Weight w = make(9, cols, o);
      expect_same_in_any_tile(w);
      expect_round_trip(w);
    }
}

TEST(FloatGroup, DecodesTheFormulaOfItsHeader) {
  for (const FloatGroupOptions& o : all_options()) {
    const i64 N = 9, K = 334;
    const Weight w = make(N, K, o);
    const auto& parts = dynamic_cast<const FloatGroupWeight&>(w.format()).parts();
    const i64 rows = o.block_rows ? o.block_rows : N, cols = o.block_cols ? o.block_cols : K;
    Tensor want = Tensor::empty({N, K});
    for (i64 n = 0; n < N; ++n)
      for (i64 k = 0; k < K; ++k) {
        const i64 at = n / rows * parts.scales.dim(1) + k / cols;
        float scale = 0;
        if (o.scale == BlockScale::real)
          scale = parts.scales.to_f32().f32()[at];
        else if (o.scale == BlockScale::e8m0)
          scale = e8m0_value(parts.scales.data<u8>()[at]);
        else
          scale = e4m3_value(parts.scales.data<u8>()[at]) / 1234.5f;
        const u8* codes = parts.codes.data<u8>() + n * parts.codes.dim(1);
        const float code = o.element == MiniFloat::e4m3
                               ? e4m3_value(codes[k])
                               : e2m1_value(k % 2 ? codes[k / 2] >> 4 : codes[k / 2] & 15);
        want.f32()[n * K + k] = code * scale;
      }
    if (o.values != DType::f32) want = want.to(o.values).to_f32();
    EXPECT_TRUE(same_bits(w.decode_all(), want)) << w.format().name();
  }
}

TEST(FloatGroup, EveryCodeHasItsValue) {
  const float e2m1[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (u8 code = 0; code < 16; ++code) {
    const float want = code & 8 ? -e2m1[code & 7] : e2m1[code];
    EXPECT_EQ(std::signbit(e2m1_value(code)), code >= 8);
    EXPECT_EQ(e2m1_value(code), want);
  }
  EXPECT_EQ(e4m3_value(0x7e), 448);
  EXPECT_EQ(e4m3_value(0x01), 0x1p-9f);
  EXPECT_TRUE(std::isnan(e4m3_value(0x7f)) && std::isnan(e4m3_value(0xff)));
  EXPECT_EQ(e8m0_value(127), 1);
  EXPECT_EQ(e8m0_value(0), 0x1p-127f);
}

TEST(FloatGroup, EveryCodeDecodesToItsValueOnEveryTier) {
  Tensor codes = Tensor::empty({2, 256}, DType::u8);
  for (i64 i = 0; i < 512; ++i) codes.data<u8>()[i] = static_cast<u8>(i);
  const Weight w(std::make_shared<FloatGroupWeight>(
      "all", 2, 256, FloatGroupOptions{}, FloatGroupWeight::Parts{codes, ones({1, 1}), {}}));
  for (const std::string& isa : supported_isas()) {
    force_isa(isa);
    const Tensor all = w.decode_all();
    for (i64 i = 0; i < 512; ++i) {
      const float want = e4m3_value(static_cast<u8>(i));
      ASSERT_TRUE(std::isnan(want) ? std::isnan(all.f32()[i]) : want == all.f32()[i]) << isa << " " << i;
    }
  }
  force_isa("");
}

TEST(FloatGroup, NamesSayTheScheme) {
  std::vector<std::string> names;
  for (const FloatGroupOptions& o : all_options())
    if (o.values == DType::bf16) names.push_back(make(8, 96, o).format().name());
  EXPECT_EQ(
      names,
      (std::vector<std::string>{"fp8_tensor", "fp8_row", "fp8_g64", "fp8_4x48", "mxfp8", "mxfp4", "nvfp4"}));
}

TEST(FloatGroup, RefusesScalesThatAreNoNumbers) {
  for (const FloatGroupOptions& o : all_options()) {
    const Weight w = make(8, 96, o);
    Stored damaged = stored(w);
    Tensor& scales = damaged[".scales"];
    scales = scales.clone();
    if (o.scale != BlockScale::real) {
      scales.data<u8>()[0] = 0xff;
    } else {
      scales = scales.to_f32();
      scales.f32()[0] = std::numeric_limits<float>::infinity();
      scales = scales.to(o.values);
    }
    expect_refused(w.format().options(), 8, 96, damaged);
    if (o.scale != BlockScale::e4m3) continue;
    for (const float global : {0.0f, -1.0f, std::nanf("")}) {
      damaged = stored(w);
      damaged[".global"] = Tensor::of({1}, std::vector<float>{global});
      expect_refused(w.format().options(), 8, 96, damaged);
    }
  }
}

}  // namespace
}  // namespace pare
