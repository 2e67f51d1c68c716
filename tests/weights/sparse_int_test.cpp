// Integers with zeros left out: the numbers of the dense integers in every bit, sizes, storage, refusals.
#include "weights/sparse_int.h"

#include <algorithm>
#include <array>

#include "weights/format_checks.h"

namespace pare {
namespace {

const IntGroupWeight& integers(const Weight& w) { return dynamic_cast<const IntGroupWeight&>(w.format()); }

/// u8 (N, K) with 1 at that density; for 2:4 at most two of every four.
Tensor some_places(i64 N, i64 K, double density, KeptPattern pattern) {
  Tensor keep = Tensor::empty({N, K}, DType::u8);
  Rng rng(5);
  i64 kept = 0;
  for (i64 i = 0; i < keep.count(); ++i) {
    if (i % 4 == 0) kept = 0;
    u8 k = rng.uniform() < density;
    if (pattern == KeptPattern::two_of_four && kept == 2) k = 0;
    keep.data<u8>()[i] = k;
    kept += k;
  }
  return keep;
}

/// The dense integers with the zero point where nothing is kept.
Weight masked(const IntGroupWeight& w, const Tensor& keep) {
  Tensor codes = w.unpacked_codes();
  const Tensor zeros = w.unpacked_zeros();
  for (i64 i = 0; i < codes.count(); ++i)
    if (!keep.data<u8>()[i])
      codes.data<u8>()[i] = zeros.data<u8>()[i / w.cols() * w.groups() + i % w.cols() / w.group()];
  return int_group_weight("masked", codes, w.scales(), w.symmetric() ? Tensor() : zeros, w.choice());
}

TEST(SparseInt, HasTheBitsOfDenseIntegersWithZerosWhereNothingIsKept) {
  for (const i64 cols : {1, 13, 64, 333, 384, 1161})
    for (int bits = 2; bits <= 8; ++bits)
      for (const bool symmetric : {true, false}) {
        const i64 group = std::array<i64, 5>{32, 64, 0, 128, 7}[static_cast<std::size_t>(bits + cols) % 5];
        const DType values = bits == 5 ? DType::bf16 : DType::f32;
        const Weight dense =
            quantize_int_group(normal_tensor({5, cols}, 1), {bits, group, symmetric, values});
        for (const double density : {0.0, 0.1, 0.5, 1.0}) {
          const Tensor keep = some_places(5, cols, density, KeptPattern::any);
          const Weight q = sparse_int_weight(integers(dense), keep);
          SCOPED_TRACE(fmt::format("{} {} {}", q.format().name(), cols, density));
          ASSERT_TRUE(same_bits(q.decode_all(), masked(integers(dense), keep).decode_all()));
          const Tensor all = q.decode_all();
          for (i64 i = 0; i < keep.count(); ++i)
            if (!keep.data<u8>()[i]) {
              ASSERT_EQ(all.f32()[i], 0.0f);
            }
          if (density == 0.5) expect_same_in_any_tile(q);
          if (density == 0.5 && cols > 1) expect_round_trip(q, {"values"});
        }
      }
}

TEST(SparseInt, PairsOfFourHaveTheSameBits) {
  for (const i64 cols : {4, 12, 64, 384, 1160})
    for (int bits = 2; bits <= 8; ++bits)
      for (const bool symmetric : {true, false}) {
        const Weight dense = quantize_int_group(normal_tensor({5, cols}, 1), {bits, 32, symmetric});
        for (const double density : {0.0, 0.3, 1.0}) {
          const Tensor keep = some_places(5, cols, density, KeptPattern::two_of_four);
          const Weight q = sparse_int_weight(integers(dense), keep, KeptPattern::two_of_four);
          SCOPED_TRACE(fmt::format("{} {} {}", q.format().name(), cols, density));
          ASSERT_TRUE(same_bits(q.decode_all(), masked(integers(dense), keep).decode_all()));
          expect_same_in_any_tile(q);
          if (density == 0.3) expect_round_trip(q, {"pattern"});
        }
      }
}

TEST(SparseInt, EmptyAndFullRowsBesideEachOther) {
  const Weight dense = quantize_int_group(normal_tensor({6, 800}, 2), {3, 64, false});
  Tensor keep = Tensor::zeros({6, 800}, DType::u8);
  for (const i64 row : {1, 2, 4}) std::fill_n(keep.data<u8>() + row * 800, 800, u8{1});
  keep.data<u8>()[2 * 800 + 799] = keep.data<u8>()[4 * 800] = 0;
  const Weight q = sparse_int_weight(integers(dense), keep);
  EXPECT_TRUE(same_bits(q.decode_all(), masked(integers(dense), keep).decode_all()));
  expect_same_in_any_tile(q);
}

TEST(SparseInt, HalfOfFourBitsTakesThreeAndPairsLess) {
  const i64 N = 16, K = 1536;
  const Weight dense = quantize_int_group(normal_tensor({N, K}, 3), {4, 64, true});
  Tensor keep = Tensor::zeros({N, K}, DType::u8);
  for (i64 i = 0; i < N * K; ++i) keep.data<u8>()[i] = i % 4 == 1 || i % 4 == 2;
  const auto bits = [&](KeptPattern pattern) {
    return static_cast<double>(8 * sparse_int_weight(integers(dense), keep, pattern).bytes()) /
           static_cast<double>(N * K);
  };
  EXPECT_EQ(bits(KeptPattern::any), 1 + 2 + 16.0 / 64);
  EXPECT_NEAR(bits(KeptPattern::two_of_four), 2.0 / 3 + 2 + 16.0 / 64, 1e-9);
}

TEST(SparseInt, TheSmallestFormIsChosenAndChangesNoNumber) {
  const Weight dense = quantize_int_group(normal_tensor({8, 192}, 4), {4, 32, true});
  const auto chosen = [&](double density, KeptPattern pattern) {
    const Weight w = masked(integers(dense), some_places(8, 192, density, pattern));
    const Weight small = smallest_int_weight(w);
    EXPECT_LE(small.bytes(), w.bytes());
    EXPECT_TRUE(same_bits(small.decode_all(), w.decode_all()));
    return small.format().name();
  };
  EXPECT_EQ(chosen(1.0, KeptPattern::any), "int4_g32");
  EXPECT_EQ(chosen(0.4, KeptPattern::any), "sparse_int4_g32");
  EXPECT_EQ(chosen(1.0, KeptPattern::two_of_four), "sparse24_int4_g32");
  EXPECT_EQ(chosen(0.1, KeptPattern::two_of_four), "sparse_int4_g32");
  const Weight other(normal_tensor({4, 4}, 5));
  EXPECT_EQ(smallest_int_weight(other).format().name(), "f32");
}

TEST(SparseInt, RefusesWhatDoesNotFit) {
  const Weight dense = quantize_int_group(normal_tensor({3, 68}, 6), {4, 32, false});
  const Tensor all = some_places(3, 68, 1.0, KeptPattern::any);
  EXPECT_THROW(sparse_int_weight(integers(dense), all, KeptPattern::two_of_four), Error);
  EXPECT_THROW(sparse_int_weight(integers(dense), some_places(3, 67, 1.0, KeptPattern::any)), Error);

  const Weight q = sparse_int_weight(integers(dense), some_places(3, 68, 0.5, KeptPattern::any));
  const json options = q.format().options();
  const auto damaged = [&](const std::string& suffix, auto&& damage) {
    Stored tensors = stored(q);
    tensors[suffix] = tensors[suffix].clone();
    damage(tensors[suffix]);
    expect_refused(options, 3, 68, tensors);
  };
  damaged(".mask", [](Tensor& t) { std::fill_n(t.data<u8>(), 8, u8{0xff}); });
  damaged(".mask", [](Tensor& t) { t.data<u8>()[8] = 0x10; });  // column 68
  damaged(".mask", [](Tensor& t) { std::fill_n(t.data<u8>(), t.count(), u8{0}); });
  damaged(".codes", [](Tensor& t) { t = Tensor::zeros({t.count() - 1}, DType::u8); });
  damaged(".scales", [](Tensor& t) { t.data<u16>()[2] = 0x7c00; });  // infinite
  for (const auto& [key, value] : std::vector<std::pair<std::string, json>>{{"bits", 1},
                                                                            {"bits", 9},
                                                                            {"bits", 5},
                                                                            {"group", 16},

                                                                            {"pattern", "2:4"},
                                                                            {"pattern", "3:4"}}) {
    json changed = options;
    changed[key] = value;
    expect_refused(changed, 3, 68, stored(q));
  }
}

TEST(SparseInt, GroupsThatAreNoRunsStayDense) {
  Tensor index = Tensor::zeros({8}, DType::i32);
  for (i64 k = 0; k < 8; ++k) index.data<i32>()[k] = static_cast<i32>(k % 2);
  const IntGroupOptions options{4, 4, true};
  const Weight w(std::make_shared<IntGroupWeight>("made",
                                                  2,
                                                  8,
                                                  options,
                                                  Tensor::zeros({2, 4}, DType::u8),
                                                  Tensor::zeros({2, 2}, DType::f16),
                                                  Tensor(),
                                                  index));
  EXPECT_THROW(sparse_int_weight(integers(w), Tensor::zeros({2, 8}, DType::u8)), Error);
  EXPECT_EQ(smallest_int_weight(w).format().name(), "int4_g4_act");
}

}  // namespace
}  // namespace pare
