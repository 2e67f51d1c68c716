// Places of kept weights: packed and unpacked alike, counted right from any column on, refused when damaged.
#include "weights/kept_places.h"

#include <algorithm>
#include <set>

#include "weights/format_checks.h"

namespace pare {
namespace {

/// u8 (rows, cols); at most two of every four where the pattern says so.
Tensor random_places(i64 rows, i64 cols, KeptPattern pattern, double density = 0.5) {
  Tensor keep = Tensor::empty({rows, cols}, DType::u8);
  Rng rng(5);
  for (i64 i = 0; i < keep.count(); ++i) {
    u8* k = keep.data<u8>() + i;
    *k = rng.uniform() < density;
    if (pattern == KeptPattern::two_of_four && i % 4 >= 2 && k[-1] + k[-2] + (i % 4 == 3 ? k[-3] : 0) >= 2)
      *k = 0;
  }
  return keep;
}

KeptPlaces again(const KeptPlaces& p, i64 cols, const Tensor& stored) {
  return {"layer.weight", p.rows(), cols, p.pattern(), stored};
}

std::string refused(auto&& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(KeptPlaces, AMaskComesBackAndEveryRunCountsItsValues) {
  for (const i64 cols : {1, 8, 13, 384, 385, 1161}) {
    const Tensor keep = random_places(3, cols, KeptPattern::any);
    const KeptPlaces p = pack_places(keep, KeptPattern::any);
    EXPECT_TRUE(same_bits(p.unpacked(), keep));
    EXPECT_TRUE(same_bits(again(p, cols, p.stored()).unpacked(), keep));
    u8 room[KeptPlaces::kRoom];
    i64 all = 0;
    for (i64 n = 0; n < 3; ++n) {
      EXPECT_EQ(p.kept_before(n), all);
      for (i64 k = 0, kept = 0; k < cols; ++k) {
        const KeptRun run = p.run(n, k, std::min(cols, KeptPlaces::run_end(k)), room);
        EXPECT_EQ(run.first, kept) << n << " " << k;
        EXPECT_EQ(run.count,
                  std::count(keep.data<u8>() + n * cols + k,
                             keep.data<u8>() + n * cols + std::min(cols, KeptPlaces::run_end(k)),
                             u8{1}));
        const u8 bit = keep.data<u8>()[n * cols + k];
        EXPECT_EQ(run.mask[(k - run.base) / 8] >> ((k - run.base) % 8) & 1, bit);
        kept += bit, all += bit;
      }
    }
    EXPECT_EQ(p.kept(), all);
  }
}

TEST(KeptPlaces, PairsKeepExactlyTwoOfFourAndAllThatWasKept) {
  for (const i64 cols : {4, 8, 12, 16, 24, 384, 388, 1160})
    for (const double density : {0.0, 0.2, 1.0}) {
      const Tensor keep = random_places(3, cols, KeptPattern::two_of_four, density);
      const KeptPlaces p = pack_places(keep, KeptPattern::two_of_four);
      const Tensor stored = p.unpacked();
      EXPECT_EQ(p.kept(), 3 * cols / 2);
      EXPECT_EQ(p.stored().bytes(), 3 * ((cols + 11) / 12));
      for (i64 i = 0; i < keep.count(); i += 4) {
        const u8 *was = keep.data<u8>() + i, *is = stored.data<u8>() + i;
        EXPECT_EQ(is[0] + is[1] + is[2] + is[3], 2);
        for (i64 j = 0; j < 4; ++j) EXPECT_GE(is[j], was[j]);
        if (was[0] + was[1] + was[2] + was[3] == 2) EXPECT_EQ(std::memcmp(was, is, 4), 0);
      }
      u8 room[KeptPlaces::kRoom];
      for (i64 k = 0, kept = 0; k < cols; ++k) {
        const KeptRun run = p.run(2, k, std::min(cols, KeptPlaces::run_end(k)), room);
        EXPECT_EQ(run.first, kept);
        EXPECT_EQ(p.run(2, k, k + 1, room).count, stored.data<u8>()[2 * cols + k]);
        kept += stored.data<u8>()[2 * cols + k];
      }
    }
}

TEST(KeptPlaces, EveryByteBelow216IsThreeOtherPairs) {
  std::set<std::string> seen;
  Tensor byte = Tensor::zeros({1, 1}, DType::u8);
  for (int code = 0; code < 216; ++code) {
    byte.data<u8>()[0] = static_cast<u8>(code);
    const KeptPlaces p("made", 1, 12, KeptPattern::two_of_four, byte);
    const Tensor keep = p.unpacked();
    seen.emplace(reinterpret_cast<const char*>(keep.data<u8>()), 12);
    EXPECT_TRUE(fits_two_of_four(keep));
    EXPECT_TRUE(same_bits(pack_places(keep, KeptPattern::two_of_four).stored(), byte));
  }
  EXPECT_EQ(seen.size(), 216u);
}

TEST(KeptPlaces, DamageAndPatternsThatDoNotFitAreRefused) {
  const auto damaged = [](const KeptPlaces& p, i64 i, u8 value) {
    Tensor t = p.stored().clone();
    t.data<u8>()[i] = value;
    return t;
  };
  const KeptPlaces mask = pack_places(random_places(2, 13, KeptPattern::any), KeptPattern::any);
  EXPECT_NE(refused([&] { again(mask, 13, damaged(mask, 3, 0x20)); }).find("row 1 has bits behind column 13"),
            std::string::npos);
  EXPECT_NE(refused([&] { again(mask, 17, mask.stored()); }).find("layer.weight.mask: found"),
            std::string::npos);
  const KeptPlaces pairs =
      pack_places(random_places(2, 16, KeptPattern::two_of_four), KeptPattern::two_of_four);
  EXPECT_NE(refused([&] { again(pairs, 16, damaged(pairs, 2, 216)); }).find("byte 0 of row 1 is 216"),
            std::string::npos);
  EXPECT_NE(refused([&] { again(pairs, 16, damaged(pairs, 3, 6)); }).find("expected less than 6"),
            std::string::npos);
  EXPECT_NE(refused([&] { again(pairs, 18, pairs.stored()); }).find("groups of four"), std::string::npos);
  EXPECT_NE(refused([&] { again(pairs, 16, Tensor()); }).find("layer.weight.pairs is missing"),
            std::string::npos);
  Tensor three = Tensor::zeros({1, 8}, DType::u8);
  three.data<u8>()[4] = three.data<u8>()[5] = three.data<u8>()[7] = 1;
  EXPECT_FALSE(fits_two_of_four(three));
  EXPECT_NE(refused([&] { pack_places(three, KeptPattern::two_of_four); }).find("store them as a mask"),
            std::string::npos);
  EXPECT_FALSE(fits_two_of_four(Tensor::zeros({2, 6}, DType::u8)));
}

TEST(KeptPlaces, TheSmallestPatternIsChosenByBytes) {
  Tensor keep = Tensor::zeros({4, 48}, DType::u8);
  EXPECT_EQ(smallest_pattern(keep, 4), KeptPattern::any) << "explicit zeros take more than a mask";
  for (i64 i = 0; i < keep.count(); ++i) keep.data<u8>()[i] = i % 4 < 2;
  EXPECT_EQ(smallest_pattern(keep, 4), KeptPattern::two_of_four);
  keep.data<u8>()[2] = 1;
  EXPECT_EQ(smallest_pattern(keep, 4), KeptPattern::any);
}

}  // namespace
}  // namespace pare
