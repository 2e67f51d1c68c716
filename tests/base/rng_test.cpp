#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace pare {
namespace {

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
TEST(Philox, MatchesThePublishedKnownAnswers) {
  using Words = std::array<u32, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, ~u64{0}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, AStreamIsTheWordsOfItsBlocksInOrder) {
  constexpr u64 kSeed = 0x0123456789abcdef, kStream = 0xfedcba9876543210;
  Rng rng(kSeed, kStream);
  for (u32 block = 0; block < 3; ++block)
    for (const u32 word : philox({block, 0, 0x76543210, 0xfedcba98}, kSeed)) EXPECT_EQ(rng.next_u32(), word);
  rng.seek((u64{1} << 34) + 1);  // word 1 of block 2^32
  EXPECT_EQ(rng.next_u32(), philox({0, 1, 0x76543210, 0xfedcba98}, kSeed)[1]);
}

TEST(Rng, APositionIsAllOfTheState) {
  Rng rng(7, 3);
  for (int i = 0; i < 13; ++i) rng.next_u32();
  const u64 position = rng.position();
  const double next = rng.uniform(), after = rng.normal();
  Rng other(7, 3);
  other.seek(position);
  EXPECT_EQ(other.uniform(), next);
  EXPECT_EQ(other.normal(), after);
}

TEST(Rng, SeedsAndStreamsDiffer) {
  EXPECT_NE(Rng(1, 0).next_u32(), Rng(2, 0).next_u32());
  EXPECT_NE(Rng(1, 0).next_u32(), Rng(1, 1).next_u32());
  EXPECT_NE(Rng(1, 0).next_u32(), Rng(u64{1} << 40 | 1, 0).next_u32());
  EXPECT_NE(Rng(1, 1).next_u32(), Rng(1, u64{1} << 40 | 1).next_u32());
}

// Tolerances are five standard errors of the estimate.
TEST(Rng, UniformHasTheMomentsOfItsLaw) {
  Rng rng(11);
  const int n = 200'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / n, 1.0 / 2, 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
}

TEST(Rng, NormalHasTheMomentsOfItsLaw) {
  Rng rng(12);
  const int n = 200'000;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double z = rng.normal();
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96.0 / n));
}

TEST(Rng, BelowAndBetweenReachAllValuesEquallyOften) {
  Rng rng(13);
  const int n = 60'000;
  std::vector<int> counts(6);
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(rng.between(1, 6) - 1)];
  for (const int count : counts) EXPECT_NEAR(count, n / 6, 5 * std::sqrt(n * 5.0 / 36));
  EXPECT_EQ(rng.below(1), 0);
  for (int i = 0; i < 100; ++i) {
    const i64 large = rng.below(i64{1} << 62);
    ASSERT_GE(large, 0);
    ASSERT_LT(large, i64{1} << 62);
  }
}

TEST(Rng, ShuffleIsAPermutationFixedByTheStream) {
  std::vector<int> a(100), b(100);
  std::iota(a.begin(), a.end(), 0);
  b = a;
  const std::vector<int> ordered = a;
  Rng first(5), second(5);
  shuffle(a, first);
  shuffle(b, second);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, ordered);
  std::sort(a.begin(), a.end());
  EXPECT_EQ(a, ordered);
}

}  // namespace
}  // namespace pare
