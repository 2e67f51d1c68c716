// Rows of 8-bit integers, and sparse weights as a mask and values: exact decoding, storage, refusals.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "weights/float_group.h"
#include "weights/format_checks.h"
#include "weights/int8_row.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

TEST(Int8Row, DecodesAlikeInAnyTileAndComesBackFromStorage) {
  Tensor w = normal_tensor({9, 133}, 1);
  for (i64 k = 0; k < 133; ++k) w.f32()[k] = 0;
  const Weight q = quantize_int8_row(w);
  expect_same_in_any_tile(q);
  expect_round_trip(q);
  EXPECT_EQ(q.bytes(), 9 * 133 + 9 * 4);
  const Tensor all = q.decode_all();
  for (i64 i = 0; i < w.count(); ++i) {
    const float scb = dynamic_cast<const Int8RowWeight&>(q.format()).scb().f32()[i / 133];
    ASSERT_LE(std::abs(all.f32()[i] - w.f32()[i]), scb / 254 * 1.0001f);
    if (w.f32()[i] == 0) ASSERT_EQ(all.f32()[i], 0.0f);
  }
  Stored damaged = stored(q);
  damaged[".scb"] = damaged[".scb"].clone();
  damaged[".scb"].f32()[8] = std::numeric_limits<float>::infinity();
  expect_refused(q.format().options(), 9, 133, damaged);
}

/// (6, cols), each weight kept with that chance; of every four the first two at most where `of_four`.
Tensor some_kept(i64 cols, double density, bool of_four) {
  Tensor w = normal_tensor({6, cols}, 2);
  Rng rng(3);
  for (i64 i = 0; i < w.count(); ++i)
    if (rng.uniform() >= density) w.f32()[i] = 0;
  for (i64 i = 0, kept = 0; of_four && i < w.count(); ++i) {
    if (i % 4 == 0) kept = 0;
    if (w.f32()[i] != 0 && ++kept > 2) w.f32()[i] = 0;
  }
  return w;
}

TEST(SparseMask, IsExactForEveryDensityAndDtype) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16})
    for (const i64 cols : {1, 8, 64, 200, 333, 384, 1161})
      for (const double density : {0.0, 0.1, 0.5, 1.0}) {
        const Tensor typed = some_kept(cols, density, false).to(type);
        const Tensor full = typed.to_f32();
        const auto kept = full.count() - std::count(full.f32(), full.f32() + full.count(), 0.0f);
        const Weight q = sparse_mask_weight(typed);
        ASSERT_TRUE(same_bits(q.decode_all(), full));
        EXPECT_EQ(q.bytes(), 6 * ((cols + 7) / 8) + kept * dtype_bytes(type));
        expect_same_in_any_tile(q);
        if (kept > 0) expect_round_trip(q);
      }
}

TEST(SparseMask, PairsOfFourAreExactAndTakeTwoThirdsOfABit) {
  for (const DType type : {DType::f32, DType::bf16, DType::f16})
    for (const i64 cols : {4, 8, 12, 64, 200, 384, 1160})
      for (const double density : {0.0, 0.3, 1.0}) {
        const Tensor typed = some_kept(cols, density, true).to(type);
        const Weight q = sparse_mask_weight(typed, KeptPattern::two_of_four);
        ASSERT_TRUE(same_bits(q.decode_all(), typed.to_f32()));
        EXPECT_EQ(q.bytes(), 6 * ((cols + 11) / 12) + 3 * cols * dtype_bytes(type));
        expect_same_in_any_tile(q);
        expect_round_trip(q, {"pattern"});
        const Weight small = smallest_sparse_mask_weight(typed);
        EXPECT_EQ(small.bytes(), std::min(q.bytes(), sparse_mask_weight(typed).bytes()));
        ASSERT_TRUE(same_bits(small.decode_all(), typed.to_f32()));
      }
  const Tensor one_too_many = some_kept(64, 0.6, false);
  EXPECT_THROW(sparse_mask_weight(one_too_many, KeptPattern::two_of_four), Error);
  EXPECT_EQ(smallest_sparse_mask_weight(one_too_many).format().name(), "sparse_f32");
}

TEST(SparseMask, HoldsBytesWithAScalePerRow) {
  for (const DType type : {DType::i8, DType::u8})
    for (const DType scale_type : {DType::f32, DType::bf16, DType::f16}) {
      const Tensor floats = some_kept(77, 0.6, false);
      const KeptPlaces places =
          dynamic_cast<const SparseMaskWeight&>(sparse_mask_weight(floats).format()).places();
      const Tensor scales = normal_tensor({6}, 6).to(scale_type);
      Tensor values = Tensor::empty({places.kept()}, type);
      Rng rng(7);
      for (i64 i = 0; i < values.count(); ++i) {
        u8& byte = static_cast<u8*>(values.raw())[i];
        do byte = static_cast<u8>(rng.below(256));
        while (type == DType::u8 && (byte & 0x7f) == 0x7f);  // NaN
      }
      const Weight q(std::make_shared<SparseMaskWeight>("made", places, values, scales));
      Tensor want = Tensor::zeros({6, 77});
      for (i64 i = 0, next = 0; i < want.count(); ++i) {
        const u8 byte = floats.f32()[i] != 0 ? static_cast<const u8*>(values.raw())[next++] : u8{0};
        want.f32()[i] = (type == DType::i8 ? static_cast<float>(static_cast<i8>(byte)) : e4m3_value(byte)) *
                        scales.to_f32().f32()[i / 77];
      }
      if (scale_type != DType::f32) want = want.to(scale_type).to_f32();
      EXPECT_TRUE(same_bits(q.decode_all(), want)) << q.format().name();
      expect_same_in_any_tile(q);
      expect_round_trip(q);
    }
}

TEST(SparseMask, RefusesMasksThatDoNotFitTheValues) {
  const Weight q = sparse_mask_weight(normal_tensor({2, 13}, 4));
  Stored damaged = stored(q);
  damaged[".mask"] = damaged[".mask"].clone();
  damaged[".mask"].data<u8>()[0] = 0;  // 8 bits fewer
  expect_refused(q.format().options(), 2, 13, damaged);
  damaged[".mask"].data<u8>()[0] = 7;
  damaged[".mask"].data<u8>()[1] = 0xff;  // as many bits as values, three of them behind column 13
  damaged[".values"] = Tensor::zeros({3 + 5 + 13});
  expect_refused(q.format().options(), 2, 13, damaged);
  damaged = stored(q);
  damaged[".values"] = damaged[".values"].clone();
  damaged[".values"].f32()[5] = std::nanf("");
  expect_refused(q.format().options(), 2, 13, damaged);
}

TEST(WeightFormats, AreAllListed) {
  std::vector<std::string> names;
  for (const WeightFormatInfo& info : weight_formats()) {
    EXPECT_FALSE(info.summary.empty());
    names.push_back(info.name);
  }
  for (const char* name :
       {"codebook4", "dense", "float_group", "int8_row", "int_group", "sparse_int", "sparse_mask"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

}  // namespace
}  // namespace pare
