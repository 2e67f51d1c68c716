// A low-rank part beside a weight: its numbers, its storage, and that it never holds a float copy.
#include "weights/low_rank.h"

#include <cmath>

#include "format_checks.h"
#include "weights/codebook4.h"
#include "weights/int_group.h"

namespace pare {
namespace {

constexpr i64 N = 21, K = 70, R = 5;

Tensor row_factors() {
  Tensor c = Tensor::empty({N});
  for (i64 n = 0; n < N; ++n) c.f32()[n] = 1 + 0.1f * static_cast<float>(n);
  return c;
}

std::vector<Weight> examples() {
  const Tensor w = normal_tensor({N, K}, 1), a = normal_tensor({R, K}, 2), b = normal_tensor({N, R}, 3);
  const Weight packed = quantize_int_group(w, {3, 32, false});
  const Weight inner = low_rank_weight(quantize_codebook4(w, {Code4::nf4, 64, true}), a, b, 0.5);
  return {low_rank_weight(Weight(w), a, b, 0.7),
          low_rank_weight(packed, a.to(DType::bf16), b.to(DType::f16), -2, row_factors()),
          low_rank_weight(inner, normal_tensor({1, K}, 4), normal_tensor({N, 1}, 5), 1, row_factors())};
}

TEST(LowRank, DecodesToTheFormulaInDoublePrecision) {
  for (const Weight& w : examples()) {
    const auto& p = low_rank_of(w)->parts();
    const Tensor got = w.decode_all(), base = p.base.decode_all(), a = p.a.to_f32(), b = p.b.to_f32();
    const i64 rank = a.dim(0);
    for (i64 n = 0; n < N; ++n)
      for (i64 k = 0; k < K; ++k) {
        double low = 0, size = std::fabs(base.f32()[n * K + k]);
        for (i64 r = 0; r < rank; ++r) {
          const double term = static_cast<double>(b.f32()[n * rank + r]) * a.f32()[r * K + k];
          low += term, size += std::fabs(p.scale * term);
        }
        const double c = p.row_scale.defined() ? p.row_scale.f32()[n] : 1;
        ASSERT_NEAR(got.f32()[n * K + k], c * (base.f32()[n * K + k] + p.scale * low), 1e-6 * c * size);
      }
  }
}

TEST(LowRank, AnyTileHasTheSameBits) {
  for (const Weight& w : examples()) expect_same_in_any_tile(w);
}

TEST(LowRank, ComesBackFromItsTensorsAndRefusesDamagedOnes) {
  for (const Weight& w : examples()) expect_round_trip(w);
}

TEST(LowRank, TakesTheBytesOfItsParts) {
  const Weight base = quantize_int_group(normal_tensor({N, K}, 1), {4, 32, true});
  const Weight w = low_rank_weight(
      base, Tensor::zeros({R, K}, DType::bf16), Tensor::zeros({N, R}, DType::bf16), 1, row_factors());
  EXPECT_EQ(w.bytes(), base.bytes() + 2 * R * (K + N) + 4 * N);
  EXPECT_EQ(w.format().name(), base.format().name() + "+r5_rows");
}

TEST(LowRank, RefusesARankThatIsNotTheOneItsOptionsSay) {
  const Weight w = examples()[0];
  json options = w.format().options();
  options["rank"] = R + 1;
  expect_refused(options, N, K, stored(w));
}

TEST(LowRank, RefusesNumbersThatAreNotFinite) {
  const Weight w = examples()[1];
  for (const char* suffix : {".lora_A", ".lora_B", ".row_scale"}) {
    Stored damaged = stored(w);
    Tensor t = damaged[suffix].to_f32().clone();
    t.f32()[t.count() - 1] = NAN;
    damaged[suffix] = t;
    expect_refused(w.format().options(), N, K, damaged);
  }
}

TEST(LowRank, AWeightWithoutOneHasNone) { EXPECT_EQ(low_rank_of(Weight(Tensor::zeros({2, 3}))), nullptr); }

}  // namespace
}  // namespace pare
