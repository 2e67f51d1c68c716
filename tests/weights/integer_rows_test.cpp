// Weights as integers: what a format's codes, levels, scales and minima stand for is what it decodes to, and
// the quickest product differs from the exact one by the rounding of activations alone.
#include <cmath>

#include "backends.h"
#include "ref/ops.h"
#include "weights/all_weights.h"
#include "weights/linear.h"

namespace pare {
namespace {

/// scale · (level − offset) − min of every weight, from pieces of rows and inputs.
Tensor made_of_integers(const IntegerRows& rows, i64 N, i64 K) {
  const IntegerForm form = rows.integer_form();
  const bool bytes = form.layout == CodeLayout::bytes;
  const i64 G = K / form.group;
  Tensor w = Tensor::empty({N, K});
  for (i64 n0 = 0; n0 < N; n0 += 3) {
    const i64 n1 = std::min(N, n0 + 3);
    std::vector<float> scales(static_cast<std::size_t>(3 * G)), mins(scales);
    rows.integer_scales(n0, n1, scales.data(), form.has_mins ? mins.data() : nullptr);
    for (i64 k0 = 0; k0 < K; k0 += 2 * form.group) {
      const i64 k1 = std::min(K, k0 + 2 * form.group);
      std::vector<u8> scratch(static_cast<std::size_t>(3 * (k1 - k0)));
      const IntegerRows::Codes codes = rows.integer_codes(n0, n1, k0, k1, scratch.data());
      EXPECT_EQ(codes.stride % 4, 0);
      for (i64 n = n0; n < n1; ++n)
        for (i64 k = k0; k < k1; ++k) {
          const u8* row = codes.data + (n - n0) * codes.stride;
          const i64 i = k - k0;
          const bool halves = form.layout == CodeLayout::halves;
          const u8 byte = bytes ? row[i] : halves ? row[i / 32 * 16 + i % 16] : row[i / 2];
          const bool high = halves ? i % 32 >= 16 : (i % 2 == 1) == (form.layout == CodeLayout::low_even);
          const int code = bytes ? static_cast<i8>(byte) : byte >> (high ? 4 : 0) & 15;
          const auto at = static_cast<std::size_t>((n - n0) * G + k / form.group);
          const float step = static_cast<float>((form.levels ? form.levels[code] : code) - form.offset);
          w.f32()[n * K + k] = scales[at] * step - mins[at];
        }
    }
  }
  return w;
}

TEST(IntegerRows, StandForTheDecodedWeights) {
  i64 formats = 0;
  for (const auto& [N, K] : std::vector<std::pair<i64, i64>>{{10, 64}, {7, 512}, {9, 768}, {5, 96}})
    for (const Weight& w : all_weights(N, K)) {
      const IntegerRows* rows = w.format().integer_rows();
      if (!rows) continue;
      ++formats;
      SCOPED_TRACE(fmt::format("{} {}x{}", w.format().name(), N, K));
      const Tensor want = w.decode_all(), found = made_of_integers(*rows, N, K);
      // Values of a table are rounded: to half a step of the largest.
      const bool rounded = w.format().options()["format"] == "codebook4";
      for (i64 n = 0; n < N; ++n) {
        float largest = 0;
        for (i64 k = 0; k < K; ++k) largest = std::max(largest, std::abs(want.f32()[n * K + k]));
        for (i64 i = n * K; i < (n + 1) * K; ++i)
          ASSERT_NEAR(found.f32()[i], want.f32()[i], largest * (rounded ? 0.5 / 120 : 2e-6)) << i;
      }
    }
  EXPECT_GT(formats, 50);
}

TEST(IntegerRows, EveryFormatThatCanHasThem) {
  for (const Weight& w : all_weights(4, 512)) {
    const std::string format = low_rank_of(w) ? "low_rank" : w.format().options().value("format", "");
    const bool expected = format == "int_group" || format == "codebook4" || format == "int8_row" ||
                          format == "ggml_block" || w.format().name() == "sparse_int8_row" ||
                          w.format().name() == "sparse24_int8_row" || w.format().name() == "mxfp4";
    EXPECT_EQ(w.format().integer_rows() != nullptr, expected) << w.format().name();
  }
  // A short last group that the others' parts fit.
  EXPECT_EQ(
      dynamic_cast<const IntGroupWeight&>(quantize_int_group(ref::normal({4, 192}, 1), {4, 128}).format())
          .integer_form()
          .group,
      64);
  // Another short last group, and inputs in an order of their own, have none.
  EXPECT_EQ(quantize_int_group(ref::normal({4, 80}, 1), {4, 64}).format().integer_rows(), nullptr);
  EXPECT_EQ(quantize_codebook4(ref::normal({4, 96}, 1), {Code4::nf4, 64}).format().integer_rows(), nullptr);
  // A whole row is taken in pieces.
  EXPECT_NE(quantize_int_group(ref::normal({4, 896}, 1), {4, 0}).format().integer_rows(), nullptr);
}

TEST(IntegerRows, TheQuickestProductIsTheExactOneButForRoundedActivations) {
  const i64 M = 9, N = 37, K = 512;
  const Tensor x = ref::normal({M, K}, 11), bias = ref::normal({N}, 12);
  for (const Weight& w : all_weights(N, K)) {
    SCOPED_TRACE(w.format().name());
    Tensor exact = Tensor::empty({M, N}), quick = exact.clone();
    linear(x, w, bias, exact);
    linear(x, w, bias, quick, Products::fast);
    double error = 0, size = 0;
    for (i64 i = 0; i < exact.count(); ++i) {
      error += std::pow(quick.f32()[i] - exact.f32()[i], 2);
      size += std::pow(exact.f32()[i], 2);
    }
    // Rounding to a 127th of a group's largest is about half a percent of normal activations; two tables are
    // rounded by as much again.
    EXPECT_LE(std::sqrt(error / size), 0.015);
    const bool has_integers = w.format().integer_rows() || low_rank_of(w);
    if (!has_integers && !bf16_products_are_native()) EXPECT_TRUE(identical(exact, quick));
  }
}

TEST(IntegerRows, ARowOfTheQuickestProductKnowsNothingOfOthersOrThreads) {
  const i64 M = 40, N = 45, K = 512;
  const Tensor x = ref::normal({M, K}, 13);
  for (const Weight& w : all_weights(N, K)) {
    SCOPED_TRACE(w.format().name());
    for_each_isa([&] {
      Tensor all = Tensor::empty({M, N});
      linear(x, w, Tensor(), all, Products::fast);
      for_each_thread_count([&] {
        for (const i64 rows : {1, 3, 17}) {
          Tensor some = Tensor::empty({rows, N});
          linear(x.rows(M - rows, M), w, Tensor(), some, Products::fast);
          ASSERT_EQ(
              std::memcmp(some.f32(), all.f32() + (M - rows) * N, static_cast<std::size_t>(some.bytes())), 0)
              << rows;
        }
      });
    });
  }
}

}  // namespace
}  // namespace pare
