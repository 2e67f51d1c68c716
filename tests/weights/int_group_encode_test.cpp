// Integers as llm-compressor rounds them; the bits of whole models are in
// tests/model/hf_quantised_export_golden_test.cpp.
#include "weights/int_group_encode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "refusal.h"
#include "weights/format_checks.h"

namespace pare {
namespace {

const IntGroupWeight& integers(const Weight& w) { return dynamic_cast<const IntGroupWeight&>(w.format()); }

TEST(IntGroupInDtype, ScalesAndValuesHaveTheDtypeOfTheWeights) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const Tensor dense = normal_tensor({16, 96}, 1);
    const Weight w =
        quantize_int_group_in_dtype(dtype == DType::f32 ? dense : dense.to(dtype), {4, 32, false});
    EXPECT_EQ(integers(w).scales().dtype(), dtype);
    EXPECT_EQ(integers(w).values(), dtype);
    expect_same_in_any_tile(w);
  }
}

TEST(IntGroupInDtype, SymmetricScalesCoverBothEndsByHalfAStep) {
  const Tensor w = Tensor::of({1, 4}, std::vector<float>{7.5f, -7.5f, 0.5f, 1.5f});
  const Weight q = quantize_int_group_in_dtype(w, {4, 0, true});
  EXPECT_EQ(integers(q).scales_f32().f32()[0], 1.0f);
  // 7.5 is cut to 7, -7.5 goes to the even -8, as 0.5 to 0 and 1.5 to 2.
  const Tensor codes = integers(q).unpacked_codes();
  EXPECT_EQ(std::vector<u8>(codes.data<u8>(), codes.data<u8>() + 4), (std::vector<u8>{15, 0, 8, 10}));
}

TEST(IntGroupInDtype, AsymmetricGroupsHoldZeroAndTheirEnds) {
  const Tensor w = Tensor::of({2, 4}, std::vector<float>{1, 2, 3, 15, -5, 10, 0, 1});
  const Weight q = quantize_int_group_in_dtype(w, {4, 0, false});
  const Tensor zeros = integers(q).unpacked_zeros();
  EXPECT_EQ(zeros.data<u8>()[0], 0);
  EXPECT_EQ(zeros.data<u8>()[1], 5);
  EXPECT_TRUE(same_bits(q.decode_all(), w));
}

TEST(IntGroupInDtype, ErrorsStayWithinAStepAndZerosStayZero) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {true, false}) {
      Tensor w = normal_tensor({8, 80}, 2);
      for (i64 k = 0; k < 80; ++k) w.f32()[k] = 0;
      const Weight q = quantize_int_group_in_dtype(w, {bits, 32, symmetric});
      const Tensor got = q.decode_all(), scales = integers(q).scales_f32();
      for (i64 i = 0; i < w.count(); ++i) {
        const float step = scales.f32()[i / 80 * 3 + i % 80 / 32];
        EXPECT_LE(std::abs(got.f32()[i] - w.f32()[i]), step * 1.001f);
        EXPECT_TRUE(i >= 80 || got.f32()[i] == 0);
      }
    }
}

TEST(IntGroupInDtype, WhatCannotBeRoundedIsRefused) {
  Tensor w = normal_tensor({4, 32}, 3);
  EXPECT_NE(refusal([&] {
              quantize_int_group_in_dtype(w, {9, 32, true});
            }).find("2 to 8"),
            std::string::npos);
  w.f32()[37] = INFINITY;
  EXPECT_NE(refusal([&] {
              quantize_int_group_in_dtype(w, {4, 32, true});
            }).find("row 1, column 5"),
            std::string::npos);
}

}  // namespace
}  // namespace pare
