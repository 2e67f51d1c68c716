// Masks prune exactly as many as asked, the lowest ones, ties by index.
#include "compress/masks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/threads.h"

namespace pare {
namespace {

/// Few distinct values, so that ties abound.
Tensor tied_scores(i64 rows, i64 cols, u64 seed, i64 kinds) {
  Tensor t = Tensor::empty({rows, cols});
  Rng rng(seed);
  for (i64 i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(rng.below(kinds));
  return t;
}

/// The rule of the header, by sorting (score, index).
std::vector<u8> by_sorting(const std::vector<float>& scores, i64 pruned) {
  std::vector<std::pair<float, i64>> order;
  for (std::size_t i = 0; i < scores.size(); ++i) order.emplace_back(scores[i], static_cast<i64>(i));
  std::sort(order.begin(), order.end());
  std::vector<u8> mask(scores.size(), 1);
  for (i64 i = 0; i < pruned; ++i)
    mask[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second)] = 0;
  return mask;
}

std::vector<float> values(const Tensor& t) { return {t.f32(), t.f32() + t.count()}; }
std::vector<u8> bits(const Tensor& t) { return {t.data<u8>(), t.data<u8>() + t.count()}; }

TEST(Masks, LowestOfAllEqualsSorting) {
  for (const i64 kinds : {1, 3, 1000000})
    for (const double sparsity : {0.0, 0.1, 0.5, 0.77, 1.0}) {
      const Tensor s = tied_scores(7, 31, 1, kinds);
      EXPECT_EQ(bits(lowest_mask(s, sparsity)), by_sorting(values(s), std::llround(sparsity * 217))) << kinds;
    }
}

TEST(Masks, GlobalThresholdSpansTensorsInTheirOrder) {
  const std::vector<Tensor> scores = {
      tied_scores(3, 10, 2, 4), tied_scores(5, 7, 3, 4), tied_scores(1, 1, 4, 4)};
  std::vector<float> all;
  for (const Tensor& s : scores)
    for (const float x : values(s)) all.push_back(x);
  for (const double sparsity : {0.0, 0.3, 0.5, 1.0}) {
    std::vector<u8> got;
    for (const Tensor& m : lowest_global_masks(scores, sparsity))
      for (const u8 b : bits(m)) got.push_back(b);
    EXPECT_EQ(got, by_sorting(all, std::llround(sparsity * static_cast<double>(all.size()))));
  }
}

TEST(Masks, RowsAndPatternsHaveExactCountsForAnyThreads) {
  const Tensor s = tied_scores(50, 44, 5, 3);
  for (const int n : {1, 3}) {
    set_threads(n);
    const Tensor rows = lowest_per_row_mask(s, 0.5), pattern = n_of_m_mask(s, 2, 4),
                 eight = n_of_m_mask(s, 4, 8);
    for (i64 r = 0; r < 50; ++r) {
      const std::vector<float> row(s.f32() + r * 44, s.f32() + r * 44 + 44);
      EXPECT_EQ(std::vector<u8>(rows.data<u8>() + r * 44, rows.data<u8>() + r * 44 + 44),
                by_sorting(row, 22));
      for (std::size_t k = 0; k < 44; k += 4) {
        const std::vector<float> group(row.begin() + k, row.begin() + k + 4);
        const u8* got = pattern.data<u8>() + r * 44 + k;
        EXPECT_EQ(std::vector<u8>(got, got + 4), by_sorting(group, 2));
      }
      EXPECT_EQ(std::count(eight.data<u8>() + r * 44 + 40, eight.data<u8>() + r * 44 + 44, 1), 2)
          << "short group";
    }
  }
  set_threads(0);
}

TEST(Masks, ApplyZerosAndKeepsTheRest) {
  Tensor w = Tensor::of({1, 4}, std::vector<float>{-3, 1, -2, 4});
  const Tensor mask = lowest_mask(magnitudes(w), 0.5);
  EXPECT_EQ(bits(mask), (std::vector<u8>{1, 0, 0, 1}));
  EXPECT_EQ(mask_sparsity(mask), 0.5);
  Tensor half = w.to(DType::bf16);
  apply_mask(mask, w);
  apply_mask(mask, half);
  EXPECT_EQ(values(w), (std::vector<float>{-3, 0, 0, 4}));
  EXPECT_EQ(values(half.to_f32()), values(w));
}

TEST(Masks, RefuseWhatMakesNoSense) {
  const Tensor s = tied_scores(2, 4, 6, 3);
  EXPECT_THROW(lowest_mask(s, 1.5), Error);
  EXPECT_THROW(lowest_mask(s, std::nan("")), Error);
  EXPECT_THROW(n_of_m_mask(s, 0, 4), Error);
  EXPECT_THROW(n_of_m_mask(s, 5, 4), Error);
  Tensor bad = s.clone();
  bad.f32()[3] = std::nanf("");
  EXPECT_THROW(lowest_mask(bad, 0.5), Error);
}

}  // namespace
}  // namespace pare
