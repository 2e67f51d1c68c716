// Blocks of GGUF files rounded with an importance of the input columns: what it is good for, where it is
// zero, what is refused. That the bytes are ggml's: tests/io/ggml_blocks_golden_test.cpp.
#include "weights/ggml_encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "refusal.h"
#include "weights/format_checks.h"

namespace pare {
namespace {

constexpr i64 kRows = 16, kCols = 1024;

std::string name_of(GgmlType type) { return std::string(ggml_type_info(type).name); }

/// What an importance can change.
std::vector<GgmlType> types() {
  std::vector<GgmlType> out = ggml_packed_types();
  std::erase(out, GgmlType::q8_0);
  return out;
}

/// Normal weights with one in fifty eight times as large, as matrices of models have them.
Tensor weights(u64 seed) {
  Tensor w = normal_tensor({kRows, kCols}, seed, 0.02);
  Rng rng(seed + 100);
  for (i64 i = 0; i < w.count(); ++i)
    if (rng.uniform() < 0.02) w.f32()[i] *= 8;
  return w;
}

/// Mean squares of inputs: log-normal, a factor of a thousand between the hundredths at both ends.
Tensor importance(u64 seed) {
  Tensor out = normal_tensor({kCols}, seed, 1.5);
  for (i64 k = 0; k < kCols; ++k) out.f32()[k] = std::exp(out.f32()[k]);
  return out;
}

/// Σ importance · (w − ŵ)².
double weighted_error(const Tensor& w, const Weight& q, const Tensor& importance) {
  const Tensor decoded = q.decode_all();
  double sum = 0;
  for (i64 n = 0; n < w.dim(0); ++n)
    for (i64 k = 0; k < w.dim(1); ++k) {
      const double diff = w.f32()[n * w.dim(1) + k] - decoded.f32()[n * w.dim(1) + k];
      sum += importance.f32()[k] * diff * diff;
    }
  return sum;
}

TEST(GgmlEncode, AnImportanceLowersTheErrorThatItWeighs) {
  const Tensor w = weights(1), h = importance(2);
  for (const GgmlType type : types()) {
    const double without = weighted_error(w, quantize_ggml_block(w, type), h);
    const double with = weighted_error(w, quantize_ggml_block(w, type, h), h);
    EXPECT_LT(with, 0.95 * without) << name_of(type);
  }
  EXPECT_TRUE(same_bits(quantize_ggml_block(w, GgmlType::q8_0, h).decode_all(),
                        quantize_ggml_block(w, GgmlType::q8_0).decode_all()));
}

TEST(GgmlEncode, OnlyRatiosOfImportancesCount) {
  const Tensor w = weights(3), h = importance(4);
  for (const GgmlType type : types()) {
    SCOPED_TRACE(name_of(type));
    const Weight q = quantize_ggml_block(w, type, h);
    for (const int power : {-100, -3, 90}) {
      Tensor scaled = h.clone();
      for (i64 k = 0; k < kCols; ++k) scaled.f32()[k] = std::ldexp(h.f32()[k], power);
      EXPECT_TRUE(same_bits(stored(quantize_ggml_block(w, type, scaled))[".blocks"], stored(q)[".blocks"]))
          << power;
    }
    // All alike is an importance too, if one that says nothing: about the error of none.
    Tensor alike = Tensor::empty({kCols});
    for (i64 k = 0; k < kCols; ++k) alike.f32()[k] = 3;
    const double with = relative_mse(w, quantize_ggml_block(w, type, alike).decode_all());
    EXPECT_LT(with, 1.1 * relative_mse(w, quantize_ggml_block(w, type).decode_all()));
  }
}

TEST(GgmlEncode, WhereNoColumnCountsABlockIsRoundedAsWithout) {
  const Tensor w = weights(5);
  Tensor h = importance(6);
  const Tensor none = Tensor::zeros({kCols});
  for (i64 k = 256; k < 512; ++k) h.f32()[k] = 0;
  for (const GgmlType type : types()) {
    SCOPED_TRACE(name_of(type));
    const Tensor without = stored(quantize_ggml_block(w, type))[".blocks"];
    EXPECT_TRUE(same_bits(stored(quantize_ggml_block(w, type, none))[".blocks"], without));
    const Tensor some = stored(quantize_ggml_block(w, type, h))[".blocks"];
    const i64 begin = ggml_row_bytes(type, 256), end = ggml_row_bytes(type, 512);
    EXPECT_EQ(std::memcmp(
                  some.data<u8>() + begin, without.data<u8>() + begin, static_cast<std::size_t>(end - begin)),
              0);
    EXPECT_FALSE(same_bits(some, without));
  }
}

/// Σ (w − ŵ)² over Σ w², of the columns [512, 768): one block of the K formats.
double block_error(const Tensor& w, const Weight& q) {
  const Tensor decoded = q.decode_all();
  double error = 0, power = 0;
  for (i64 n = 0; n < kRows; ++n)
    for (i64 k = 512; k < 768; ++k) {
      const double value = w.f32()[n * kCols + k], diff = value - decoded.f32()[n * kCols + k];
      error += diff * diff;
      power += value * value;
    }
  return error / power;
}

TEST(GgmlEncode, ColumnsThatDoNotCountKeepTheirOrderOfMagnitude) {
  // Where no column that counts needs them the reference makes sub-blocks zero, or takes their minima away:
  // 0.13 to 1 for one of these in Q4_0, Q5_0 and the K formats. Found here: 0.19 in Q2_K, at most 0.087 in
  // others.
  const Tensor w = weights(7);
  Tensor one = Tensor::zeros({kCols}), zero_there = w.clone(), no_minimum_there = w.clone();
  one.f32()[700] = 1;
  for (i64 n = 0; n < kRows; ++n) {
    zero_there.f32()[n * kCols + 700] = 0;
    for (i64 k = 688; k < 720; ++k) no_minimum_there.f32()[n * kCols + k] = std::fabs(w.f32()[n * kCols + k]);
  }
  for (const GgmlType type : types())
    for (const Tensor& x : {w, zero_there, no_minimum_there})
      EXPECT_LT(block_error(x, quantize_ggml_block(x, type, one)), type == GgmlType::q2_k ? 0.24 : 0.11)
          << name_of(type);
}

TEST(GgmlEncode, RefusesImportancesThatAreNone) {
  const Tensor w = weights(9);
  const auto fault = [&](float value) {
    Tensor h = importance(10);
    h.f32()[77] = value;
    return refusal([&] { quantize_ggml_block(w, GgmlType::q4_k, h); });
  };
  for (const float value : {-1e-9f,
                            std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()})
    EXPECT_NE(fault(value).find("input column 77"), std::string::npos) << fault(value);
  const std::string length =
      refusal([&] { quantize_ggml_block(w, GgmlType::q4_k, normal_tensor({kCols / 2}, 11)); });
  EXPECT_NE(length.find("512 input columns, expected 1024"), std::string::npos) << length;
}

}  // namespace
}  // namespace pare
