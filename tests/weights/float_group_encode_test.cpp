// Rounding to small floats: every table entry, ties, saturation; blocks whose scales are known.
#include "weights/float_group_encode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "refusal.h"
#include "weights/format_checks.h"

namespace pare {
namespace {
constexpr FloatScheme kAll[] = {FloatScheme::fp8_tensor,
                                FloatScheme::fp8_row,
                                FloatScheme::fp8_block,
                                FloatScheme::mxfp8,
                                FloatScheme::mxfp4,
                                FloatScheme::nvfp4};

TEST(MiniFloatCodes, EveryValueHasItsCodeAndHalvesGoToEven) {
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;
    EXPECT_EQ(e4m3_code(e4m3_value(static_cast<u8>(code))), code);
    if ((code & 0x7f) == 0x7e) continue;
    const float middle = (e4m3_value(static_cast<u8>(code)) + e4m3_value(static_cast<u8>(code + 1))) / 2;
    EXPECT_EQ(e4m3_code(middle), code + code % 2);
    EXPECT_EQ(e4m3_code(std::nextafter(middle, 0.0f)), code);
  }
  for (int code = 0; code < 16; ++code) {
    EXPECT_EQ(e2m1_code(e2m1_value(static_cast<u8>(code))), code);
    if ((code & 7) == 7) continue;
    const float middle = (e2m1_value(static_cast<u8>(code)) + e2m1_value(static_cast<u8>(code + 1))) / 2;
    EXPECT_EQ(e2m1_code(middle), code + code % 2);
  }
  for (const float large : {449.0f, 1e30f, INFINITY}) {
    EXPECT_EQ(e4m3_code(large), 0x7e);
    EXPECT_EQ(e4m3_code(-large), 0xfe);
    EXPECT_EQ(e2m1_code(large), 7);
    EXPECT_EQ(e2m1_code(-large), 15);
  }
  EXPECT_EQ(e4m3_code(NAN) & 0x7f, 0x7f);
}

TEST(FloatGroupEncode, WeightsOfAnySchemeSurviveStorageAndTiles) {
  for (const FloatScheme scheme : kAll) {
    const Weight w = quantize_float_group(normal_tensor({130, 160}, 1).to(DType::bf16), scheme);
    expect_same_in_any_tile(w);
    expect_round_trip(w);
  }
}

TEST(FloatGroupEncode, NoWeightIsFurtherThanHalfAStepFromItsOwn) {
  for (const FloatScheme scheme : kAll) {
    const Tensor dense = normal_tensor({64, 128}, 2);
    const Weight w = quantize_float_group(dense, scheme);
    SCOPED_TRACE(w.format().name());
    const Tensor got = w.decode_all();
    const auto& f = dynamic_cast<const FloatGroupWeight&>(w.format());
    const bool fp8 = f.choice().element == MiniFloat::e4m3;
    // Half a step relative to the value: 2^-4 of three bits of mantissa, 1/4 of one (0.5 to 1 is a step of
    // 1/2); where scales are themselves rounded, the largest value may be cut by their half step as well.
    const float relative = fp8 ? 0x1p-4f : 0.25f,
                cut = f.choice().scale == BlockScale::e4m3 ? 0x1p-4f : 0.125f;
    for (i64 i = 0; i < dense.count(); ++i) {
      const float x = dense.f32()[i];
      EXPECT_LE(std::abs(got.f32()[i] - x), (relative + cut) * std::abs(x) + 0.3f) << x;
    }
    EXPECT_LT(relative_mse(dense, got), fp8 ? 1.5e-3 : 2e-2);
  }
}

TEST(FloatGroupEncode, ScalesAreTheLargestMagnitudeOverTheLargestCode) {
  Tensor w = Tensor::zeros({2, 64});
  w.f32()[3] = -448;
  w.f32()[64 + 5] = 7;  // mantissa 1.75: the power of two above 7/4
  const auto scales = [&](FloatScheme scheme) {
    const Weight q = quantize_float_group(w, scheme);
    return dynamic_cast<const FloatGroupWeight&>(q.format()).parts().scales;
  };
  EXPECT_EQ(scales(FloatScheme::fp8_tensor).f32()[0], 1.0f);
  EXPECT_EQ(scales(FloatScheme::fp8_row).f32()[1], 7.0f / 448);
  EXPECT_EQ(scales(FloatScheme::mxfp8).data<u8>()[2], 127 + 2 - 8 + 1);
  EXPECT_EQ(scales(FloatScheme::mxfp4).data<u8>()[2], 127 + 2 - 2 + 1);
  for (const FloatScheme scheme : kAll) {
    const Tensor zeros = Tensor::zeros({4, 32});
    EXPECT_TRUE(same_bits(quantize_float_group(zeros, scheme).decode_all(), zeros));
  }
}

TEST(FloatGroupEncode, ASharedScaleOfScalesIsTaken) {
  const Tensor w = normal_tensor({8, 32}, 3);
  const Weight q = quantize_float_group(w, FloatScheme::nvfp4, 64.0f);
  EXPECT_EQ(dynamic_cast<const FloatGroupWeight&>(q.format()).parts().global.f32()[0], 64.0f);
  EXPECT_LT(relative_mse(w, q.decode_all()), 2e-2);
}

TEST(FloatGroupEncode, WhatCannotBeRoundedIsRefused) {
  Tensor w = normal_tensor({4, 32}, 4);
  w.f32()[37] = NAN;
  for (const FloatScheme scheme : kAll)
    EXPECT_NE(refusal([&] { quantize_float_group(w, scheme); }).find("row 1, column 5"), std::string::npos);
  const Tensor narrow = normal_tensor({4, 40}, 5);
  for (const FloatScheme scheme : {FloatScheme::mxfp8, FloatScheme::mxfp4, FloatScheme::nvfp4}) {
    EXPECT_FALSE(fits_float_scheme(scheme, 40));
    EXPECT_NE(refusal([&] { quantize_float_group(narrow, scheme); }).find("multiple of"), std::string::npos);
  }
  for (const FloatScheme scheme : {FloatScheme::fp8_tensor, FloatScheme::fp8_row, FloatScheme::fp8_block})
    EXPECT_TRUE(fits_float_scheme(scheme, 40));
}

}  // namespace
}  // namespace pare
