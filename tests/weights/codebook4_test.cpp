// 4-bit tables: regenerated from normal quantiles, nearest codes, exact zeros, storage, error on normal
// weights.
#include "weights/codebook4.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "weights/blockwise8.h"
#include "weights/format_checks.h"

namespace pare {
namespace {

/// Inverse of the normal distribution function by bisection on erfc.
double quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return low;
}

std::vector<Codebook4Options> all_options() {
  std::vector<Codebook4Options> all;
  for (const Code4 code : {Code4::nf4, Code4::fp4})
    for (const i64 block : {32, 64, 4096})
      for (const bool twice : {false, true}) all.push_back({code, block, twice});
  return all;
}

TEST(Codebook4, Nf4IsMadeOfNormalQuantiles) {
  // Source: arXiv:2305.14314, appendix E: 8 positive and 7 negative quantiles up to probability 0.9677083,
  // and zero.
  std::vector<double> values = {0};
  for (int i = 0; i < 8; ++i) values.push_back(quantile(0.9677083 + (0.5 - 0.9677083) * i / 8));
  for (int i = 0; i < 7; ++i) values.push_back(-quantile(0.9677083 + (0.5 - 0.9677083) * i / 7));
  std::sort(values.begin(), values.end());
  for (std::size_t i = 0; i < 16; ++i) EXPECT_NEAR(code4_table(Code4::nf4)[i], values[i] / values[15], 1e-6);
}

TEST(Codebook4, DecodesAlikeInAnyTileAndComesBackFromStorage) {
  for (const i64 cols : {333, 256}) {
    const Tensor w = normal_tensor({7, cols}, 1);
    for (const Codebook4Options& o : all_options()) {
      const Weight q = quantize_codebook4(w, o);
      expect_same_in_any_tile(q);
      expect_round_trip(q);
    }
  }
}

TEST(Codebook4, ValuesAreRoundedToTheirDtype) {
  const Tensor w = normal_tensor({7, 333}, 9);
  for (Codebook4Options o : all_options()) {
    const Tensor exact = quantize_codebook4(w, o).decode_all();
    for (const DType values : {DType::f16, DType::bf16}) {
      o.values = values;
      const Weight q = quantize_codebook4(w, o);
      EXPECT_TRUE(same_bits(q.decode_all(), exact.to(values).to_f32())) << q.format().name();
      expect_same_in_any_tile(q);
      expect_round_trip(q, {"values"});
    }
  }
}

TEST(Codebook4, CodesAreNearestAndZeroIsExact) {
  Tensor w = normal_tensor({9, 333}, 2);
  for (i64 i = 0; i < w.count(); i += 5) w.f32()[i] = 0;
  for (const Codebook4Options& o : all_options()) {
    if (o.double_quantized) continue;
    const Weight q = quantize_codebook4(w, o);
    const Tensor all = q.decode_all();
    const float* absmax = dynamic_cast<const Codebook4Weight&>(q.format()).parts().absmax.f32();
    for (i64 i = 0; i < w.count(); ++i) {
      const float x = w.f32()[i], scale = absmax[i / o.block];
      float best = std::numeric_limits<float>::infinity();
      for (const float v : code4_table(o.code)) best = std::min(best, std::abs(v * scale - x));
      ASSERT_LE(std::abs(all.f32()[i] - x), best + 2e-7f * scale);
      if (x == 0) ASSERT_EQ(all.f32()[i], 0.0f);
    }
    ASSERT_TRUE(same_bits(quantize_codebook4(all, o).decode_all(), all)) << q.format().name();
  }
}

TEST(Codebook4, ErrorOnNormalWeightsIsThatOfTheTable) {
  const Tensor w = normal_tensor({1024, 1024}, 3);
  const auto error = [&](Code4 code, i64 block, bool twice = false) {
    return relative_mse(w, quantize_codebook4(w, {code, block, twice}).decode_all());
  };
  EXPECT_NEAR(error(Code4::nf4, 32) / .00754, 1, .03);
  EXPECT_NEAR(error(Code4::nf4, 64) / .00844, 1, .03);
  EXPECT_NEAR(error(Code4::nf4, 128) / .00917, 1, .03);
  EXPECT_NEAR(error(Code4::fp4, 64) / .01483, 1, .03);
  EXPECT_NEAR(error(Code4::nf4, 64, true) / .00844, 1, .03);
}

TEST(Codebook4, DoubleQuantisationCosts4127BitsPerWeightInAThousand) {
  const Weight q = quantize_codebook4(normal_tensor({1024, 1024}, 4), {Code4::nf4, 64, true});
  EXPECT_EQ(q.format().name(), "nf4_b64_dq");
  EXPECT_NEAR(static_cast<double>(q.bytes()) * 8 / (1024 * 1024), 4.127, 0.001);
}

TEST(Codebook4, RefusesBadOptionsAndNumbers) {
  const Tensor w = normal_tensor({2, 64}, 5);
  for (const i64 block : {0, 16, 48, 8192, -64})
    EXPECT_THROW(quantize_codebook4(w, {Code4::nf4, block, false}), Error);
  const Weight good = quantize_codebook4(w, {Code4::nf4, 32, true});
  for (const auto& [key, value] : std::vector<std::pair<std::string, json>>{
           {"block", 33}, {"block", 0}, {"block", 64}, {"code", "nf5"}, {"double", false}}) {
    json options = good.format().options();
    options[key] = value;
    expect_refused(options, 2, 64, stored(good));
  }
  for (const std::string suffix : {".nested_absmax", ".nested_offset"}) {
    Stored damaged = stored(good);
    damaged[suffix] = damaged[suffix].clone();
    damaged[suffix].f32()[0] = std::nanf("");
    expect_refused(good.format().options(), 2, 64, damaged);
  }
  Tensor holes = w.clone();
  holes.f32()[63] = std::numeric_limits<float>::infinity();
  try {
    quantize_codebook4(holes, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("row 0, column 63"), std::string::npos) << e.what();
  }
}

TEST(Blockwise8, MapIsAscendingAndErrorsStayWithinItsGaps) {
  const auto& map = dynamic_map8();
  for (std::size_t i = 1; i < 256; ++i) EXPECT_LT(map[i - 1], map[i]);
  EXPECT_EQ(map[127], 0.0f);
  EXPECT_EQ(map[255], 1.0f);
  const Tensor x = normal_tensor({1000}, 6);
  std::vector<u8> codes(1000);
  std::vector<float> absmax(4), back(1000);
  quantize_blockwise8(x.f32(), 1000, 256, codes.data(), absmax.data());
  dequantize_blockwise8(codes.data(), absmax.data(), 1000, 256, back.data());
  for (std::size_t i = 0; i < 1000; ++i)
    EXPECT_NEAR(back[i], x.f32()[i], absmax[i / 256] * 0.0071) << "half the largest gap";
}

}  // namespace
}  // namespace pare
