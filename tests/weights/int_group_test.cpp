// Integers in groups: nearest values, exact zeros, idempotence, packing, the error expected on normal
// weights.
#include "weights/int_group.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "tensor/half.h"
#include "weights/bits.h"
#include "weights/format_checks.h"
#include "weights/int_grid.h"

namespace pare {
namespace {

const IntGroupWeight& as_int_group(const Weight& w) {
  return dynamic_cast<const IntGroupWeight&>(w.format());
}

std::vector<IntGroupOptions> all_options() {
  std::vector<IntGroupOptions> all;
  for (int bits = 2; bits <= 8; ++bits)
    for (const i64 group : {32, 64, 128, 10, 0})
      for (const bool symmetric : {true, false}) all.push_back({bits, group, symmetric});
  return all;
}

TEST(Bits, PackingIsDenseAndComesBackForAllBytes) {
  for (int bits = 2; bits <= 8; ++bits) {
    // Every byte string of some lengths is the packing of its own codes.
    for (int value = 0; value < 256; ++value) {
      std::array<u8, 8> packed{}, again{}, codes{};
      for (int i = 0; i < bits; ++i)
        packed[static_cast<std::size_t>(i)] = static_cast<u8>(value * (i + 1) + i * 37);
      unpack_codes(packed.data(), 8, bits, codes.data());
      pack_codes(codes.data(), 8, bits, again.data());
      EXPECT_EQ(again, packed) << bits;
    }
    // Code i occupies bits [i·b, (i+1)·b) from the lowest bit on, written down without the library.
    Rng rng(static_cast<u64>(bits));
    for (const i64 count : {1, 3, 7, 8, 9, 33}) {
      std::vector<u8> codes(static_cast<std::size_t>(count)),
          packed(static_cast<std::size_t>(packed_bytes(count, bits)));
      for (u8& c : codes) c = static_cast<u8>(rng.below(1 << bits));
      pack_codes(codes.data(), count, bits, packed.data());
      for (i64 bit = 0; bit < static_cast<i64>(packed.size()) * 8; ++bit) {
        const int want =
            bit < count * bits ? codes[static_cast<std::size_t>(bit / bits)] >> (bit % bits) & 1 : 0;
        ASSERT_EQ(packed[static_cast<std::size_t>(bit / 8)] >> (bit % 8) & 1, want);
      }
    }
  }
}

TEST(IntGroup, EveryWidthDecodesAlikeInAnyTileAndComesBackFromStorage) {
  const Tensor w = normal_tensor({5, 333}, 1);
  for (const IntGroupOptions& o : all_options()) {
    const Weight q = quantize_int_group(w, o);
    expect_same_in_any_tile(q);
    expect_round_trip(q);
  }
}

TEST(IntGroup, DecodesTheFormulaOfItsHeader) {
  const Tensor w = normal_tensor({4, 130}, 2);
  for (const IntGroupOptions& o : all_options()) {
    const Weight q = quantize_int_group(w, o);
    const IntGroupWeight& f = as_int_group(q);
    const Tensor codes = f.unpacked_codes(), zeros = f.unpacked_zeros(), scales = f.scales_f32(),
                 all = q.decode_all();
    for (i64 n = 0; n < 4; ++n)
      for (i64 k = 0; k < 130; ++k) {
        const i64 g = n * f.groups() + k / f.group();
        const float want =
            scales.f32()[g] * static_cast<float>(codes.data<u8>()[n * 130 + k] - zeros.data<u8>()[g]);
        ASSERT_EQ(all.f32()[n * 130 + k], want);
      }
  }
}

/// `q` with its inputs spread over the groups at random, and values of that dtype.
Weight with_group_index(const Weight& q, const IntGroupOptions& o, DType values) {
  const IntGroupWeight& f = as_int_group(q);
  Tensor index = Tensor::empty({q.cols()}, DType::i32);
  Rng rng(11);
  for (i64 k = 0; k < q.cols(); ++k) index.data<i32>()[k] = static_cast<i32>(rng.below(f.groups()));
  IntGroupOptions with = o;
  with.values = values;
  return Weight(std::make_shared<IntGroupWeight>(
      "made", q.rows(), q.cols(), with, f.codes(), f.scales(), f.zeros(), index));
}

TEST(IntGroup, AGroupIndexPicksScaleAndZeroOfEachInput) {
  const Tensor w = normal_tensor({4, 130}, 12);
  for (const IntGroupOptions& o : all_options())
    for (const DType values : {DType::f32, DType::f16, DType::bf16}) {
      const Weight q = with_group_index(quantize_int_group(w, o), o, values);
      const IntGroupWeight& f = as_int_group(q);
      const Tensor codes = f.unpacked_codes(), zeros = f.unpacked_zeros(), scales = f.scales_f32();
      Tensor want = Tensor::empty({4, 130});
      for (i64 i = 0; i < want.count(); ++i) {
        const i64 g = i / 130 * f.groups() + f.group_index().data<i32>()[i % 130];
        want.f32()[i] = scales.f32()[g] * static_cast<float>(codes.data<u8>()[i] - zeros.data<u8>()[g]);
      }
      if (values != DType::f32) want = want.to(values).to_f32();
      ASSERT_TRUE(same_bits(q.decode_all(), want)) << f.name();
      expect_same_in_any_tile(q);
      expect_round_trip(q, {"values"});
    }
}

TEST(IntGroup, ValuesAreRoundedToTheirDtype) {
  const Tensor w = normal_tensor({4, 130}, 13);
  for (IntGroupOptions o : all_options()) {
    const Tensor exact = quantize_int_group(w, o).decode_all();
    for (const DType values : {DType::f16, DType::bf16}) {
      o.values = values;
      const Weight q = quantize_int_group(w, o);
      EXPECT_TRUE(same_bits(q.decode_all(), exact.to(values).to_f32())) << q.format().name();
      expect_same_in_any_tile(q);
      expect_round_trip(q, {"values"});
    }
  }
}

TEST(IntGroup, RefusesGroupsThatAreNotThereAndScalesTooLargeForF16) {
  const IntGroupOptions o{4, 32, true};
  const Weight q = with_group_index(quantize_int_group(normal_tensor({4, 130}, 14), o), o, DType::f16);
  Stored damaged = stored(q);
  for (const i32 group : {-1, 5, INT32_MAX}) {
    damaged[".group_index"] = damaged[".group_index"].clone();
    damaged[".group_index"].data<i32>()[7] = group;
    expect_refused(q.format().options(), 4, 130, damaged);
  }
  damaged = stored(q);
  damaged[".scales"] = damaged[".scales"].to_f32();
  damaged[".scales"].f32()[3] = 5000;
  expect_refused(q.format().options(), 4, 130, damaged);
}

TEST(IntGroup, CodesAreNearestZeroIsExactAndAgainChangesNothing) {
  for (const double deviation : {1.0, 1e-3, 1e-7, 1e5, 1e9}) {
    Tensor w = normal_tensor({16, 333}, 4, deviation);
    Rng rng(5);
    for (i64 i = 0; i < w.count(); ++i)
      if (rng.below(5) == 0) w.f32()[i] = 0;
    for (i64 k = 0; k < 333; ++k) w.f32()[k] = 0;                                 // a row of zeros
    for (i64 k = 0; k < 333; ++k) w.f32()[333 + k] = std::abs(w.f32()[333 + k]);  // one of one sign
    for (const IntGroupOptions& o : all_options()) {
      const Weight q = quantize_int_group(w, o);
      const IntGroupWeight& f = as_int_group(q);
      const Tensor all = q.decode_all(), zeros = f.unpacked_zeros(), scales = f.scales_f32();
      for (i64 i = 0; i < w.count(); ++i) {
        const float x = w.f32()[i], got = all.f32()[i];
        if (x == 0) ASSERT_EQ(got, 0.0f);
        const i64 g = i / 333 * f.groups() + i % 333 / f.group();
        float best = std::numeric_limits<float>::infinity();
        for (int code = 0; code < 1 << o.bits; ++code)
          best =
              std::min(best, std::abs(scales.f32()[g] * static_cast<float>(code - zeros.data<u8>()[g]) - x));
        ASSERT_LE(std::abs(got - x), best * 1.00001f + 1e-7f * std::abs(scales.f32()[g]))
            << f.name() << " " << deviation;
      }
      const Weight again = quantize_int_group(all, o);
      ASSERT_TRUE(same_bits(again.decode_all(), all)) << f.name() << " " << deviation;
    }
  }
}

TEST(IntGroup, ScalesChangeWithThePowerOfTwoOfTheWeights) {
  const Tensor w = normal_tensor({4, 256}, 6);
  Tensor w4 = w.clone();
  for (i64 i = 0; i < w.count(); ++i) w4.f32()[i] *= 0.25f;
  for (const IntGroupOptions& o : all_options()) {
    const Tensor a = quantize_int_group(w, o).decode_all(), b = quantize_int_group(w4, o).decode_all();
    for (i64 i = 0; i < w.count(); ++i) ASSERT_EQ(a.f32()[i] * 0.25f, b.f32()[i]);
  }
}

TEST(IntGroup, ErrorOnNormalWeightsIsThatOfTheTable) {
  const Tensor w = normal_tensor({1024, 1024}, 7);
  const auto error = [&](i64 group, bool symmetric) {
    return relative_mse(w, quantize_int_group(w, {4, group, symmetric}).decode_all());
  };
  EXPECT_NEAR(error(32, true) / .0073, 1, .03);
  EXPECT_NEAR(error(64, true) / .0090, 1, .03);
  EXPECT_NEAR(error(128, true) / .0106, 1, .03);
  EXPECT_NEAR(error(64, false) / .00831, 1, .03);
  EXPECT_NEAR(error(128, false) / .00988, 1, .03);
}

TEST(IntGroup, NamesAndBytesAreHonest) {
  const Tensor w = normal_tensor({3, 100}, 8);
  const Weight a = quantize_int_group(w, {4, 64, true}), b = quantize_int_group(w, {3, -1, false});
  EXPECT_EQ(a.format().name(), "int4_g64");
  EXPECT_EQ(a.bytes(), 3 * 50 + 3 * 2 * 2);
  EXPECT_EQ(b.format().name(), "int3_row_asym");
  EXPECT_EQ(b.bytes(), 3 * 38 + 3 * 2 + 3);
  EXPECT_EQ(as_int_group(quantize_int_group(normal_tensor({1, 32}, 1, 1e-8), {4, 32, true})).scales().dtype(),
            DType::bf16);
}

TEST(IntGroup, RefusesBadOptionsCodesAndNumbers) {
  const Tensor w = normal_tensor({2, 64}, 9);
  for (const IntGroupOptions& o : {IntGroupOptions{1, 64, true}, {9, 64, true}, {4, -2, true}})
    EXPECT_THROW(quantize_int_group(w, o), Error);
  const Weight good = quantize_int_group(w, {4, 32, false});
  const Stored tensors = stored(good);
  for (const auto& [key, value] : std::vector<std::pair<std::string, json>>{{"bits", 9},
                                                                            {"bits", 1},
                                                                            {"bits", -4},
                                                                            {"bits", 4.0},
                                                                            {"bits", 18446744073709551615u},
                                                                            {"bits", 5},
                                                                            {"group", -1},
                                                                            {"group", 16},
                                                                            {"group", 1e3},
                                                                            {"group", u64{1} << 63},
                                                                            {"symmetric", 1}}) {
    json options = good.format().options();
    options[key] = value;
    expect_refused(options, 2, 64, tensors);
  }
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Stored damaged = tensors;
    damaged[".scales"] = tensors.at(".scales").clone();
    damaged[".scales"].data<u16>()[3] = f32_to_f16(bad);
    expect_refused(good.format().options(), 2, 64, damaged);
    Tensor holes = w.clone();
    holes.f32()[64 + 5] = bad;
    try {
      quantize_int_group(holes, {4, 32, true});
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::user);
      EXPECT_NE(std::string(e.what()).find("row 1, column 5"), std::string::npos) << e.what();
    }
  }
  Tensor codes = Tensor::zeros({2, 64}, DType::u8);
  const Tensor scales = Tensor::zeros({2, 2}, DType::f16);
  codes.data<u8>()[70] = 16;
  EXPECT_THROW(int_group_weight("x", codes, scales, Tensor(), {4, 32, true}), Error);
  codes.data<u8>()[70] = 15;
  EXPECT_NO_THROW(int_group_weight("x", codes, scales, Tensor(), {4, 32, true}));
  EXPECT_THROW(int_group_weight("x", codes, scales, Tensor(), {4, 32, false}), Error);
}

}  // namespace
}  // namespace pare
