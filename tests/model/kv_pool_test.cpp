// Every block is used, cached or free, never two of these; what is forgotten first is what was given back
// first; no block beyond the budget.
#include "model/kv_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "refusal.h"

namespace pare {
namespace {

Config small() {
  Config c;
  c.L = 2;
  c.K = 3;
  c.E = 5;
  return c;
}

constexpr i64 kBytes = 32 * 15 * 2 * 2 * 4;

void expect_counts(const KvPool& pool, i64 used, i64 cached, i64 free) {
  EXPECT_EQ(pool.used(), used);
  EXPECT_EQ(pool.cached(), cached);
  EXPECT_EQ(pool.free(), free);
  EXPECT_EQ(pool.total(), used + cached + free);
}

TEST(KvPool, HasAsManyBlocksAsTheBudgetHolds) {
  EXPECT_EQ(KvPool::block_bytes(small()), kBytes);
  for (const i64 blocks : {1, 2, 5}) {
    for (const i64 more : {i64{0}, kBytes - 1}) {
      KvPool pool(small(), blocks * kBytes + more);
      expect_counts(pool, 0, 0, blocks);
      EXPECT_EQ(pool.bytes(), 0) << "no memory before it is needed";
      for (i64 i = 1; i <= blocks; ++i) {
        EXPECT_TRUE(pool.has_room(blocks - i + 1));
        ASSERT_TRUE(pool.take());
        EXPECT_EQ(pool.bytes(), i * kBytes);
      }
      EXPECT_FALSE(pool.has_room(1));
      EXPECT_FALSE(pool.take()) << "beyond the budget";
      EXPECT_LE(pool.bytes(), blocks * kBytes + more);
      expect_counts(pool, blocks, 0, 0);
    }
  }
  const std::string e = refusal([] { KvPool(small(), kBytes - 1); });
  EXPECT_NE(e.find(std::to_string(kBytes - 1)), std::string::npos) << e;
  EXPECT_NE(e.find(std::to_string(kBytes)), std::string::npos) << e;
}

TEST(KvPool, ForgetsTheBlockGivenBackLongestAgo) {
  KvPool pool(small(), 4 * kBytes);
  std::vector<i32> blocks;
  for (const char* key : {"a", "b", "c", "d"}) {
    blocks.push_back(*pool.take());
    pool.name(blocks.back(), key);
  }
  for (const std::size_t i : {2, 0, 3, 1}) pool.give_back(blocks[i]);  // c a d b
  expect_counts(pool, 0, 4, 0);
  ASSERT_EQ(pool.find("a"), blocks[0]);
  pool.give_back(blocks[0]);  // c d b a: being used again counts
  for (const std::size_t i : {2, 3, 1, 0}) EXPECT_EQ(pool.take(), blocks[i]);
  expect_counts(pool, 4, 0, 0);
  for (const char* key : {"a", "b", "c", "d"}) EXPECT_FALSE(pool.find(key)) << key;
}

TEST(KvPool, TakesFreeBlocksBeforeCachedOnes) {
  KvPool pool(small(), 3 * kBytes);
  const i32 named = *pool.take(), plain = *pool.take();
  pool.name(named, "a");
  pool.give_back(named);
  pool.give_back(plain);
  expect_counts(pool, 0, 1, 2);
  EXPECT_NE(pool.take(), named);
  EXPECT_NE(pool.take(), named);
  expect_counts(pool, 2, 1, 0);
  EXPECT_EQ(pool.take(), named);
}

TEST(KvPool, ABlockKeepsItsNameAndANameItsBlock) {
  KvPool pool(small(), 3 * kBytes);
  const i32 a = *pool.take(), b = *pool.take();
  pool.name(a, "x");
  pool.name(b, "x");
  pool.name(a, "y");
  EXPECT_FALSE(pool.find("y"));
  EXPECT_EQ(pool.find("x"), a);
  EXPECT_EQ(pool.references(a), 2);
  pool.give_back(b);
  expect_counts(pool, 1, 0, 2);
  pool.forget_name(a);
  EXPECT_FALSE(pool.find("x"));
  pool.give_back(a);
  pool.give_back(a);
  expect_counts(pool, 0, 0, 3);
  EXPECT_THROW(pool.give_back(a), Error) << "given back once too often";
}

TEST(KvPool, WithoutABudgetABlockGoesWithItsLastReference) {
  KvPool pool(small());
  const i32 a = *pool.take(), b = *pool.take();
  pool.name(a, "x");
  EXPECT_EQ(pool.find("x"), a) << "shared while it is used";
  expect_counts(pool, 2, 0, 0);
  EXPECT_EQ(pool.bytes(), 2 * kBytes);
  pool.give_back(a);
  pool.give_back(a);
  EXPECT_FALSE(pool.find("x"));
  EXPECT_EQ(pool.bytes(), kBytes);
  pool.give_back(b);
  expect_counts(pool, 0, 0, 0);
  EXPECT_EQ(pool.bytes(), 0);
}

/// The pool as plain lists.
struct Plain {
  std::map<i32, i64> references;
  std::map<std::string, i32> names;
  std::vector<i32> cached;  // the oldest first

  const std::string* name_of(i32 block) const {
    for (const auto& [key, named] : names)
      if (named == block) return &key;
    return nullptr;
  }
};

/// A random call on both.
void random_call(KvPool& pool, Plain& plain, i64 total, Rng& rng) {
  const std::string key = "key " + std::to_string(rng.below(9));
  std::vector<i32> used;
  for (const auto& [block, n] : plain.references) used.push_back(block);
  const i64 call = rng.below(6);
  if (call == 0) {
    const std::optional<i32> block = pool.take();
    ASSERT_EQ(block.has_value(), static_cast<i64>(used.size()) < total);
    if (!block) return;
    ASSERT_FALSE(plain.references.contains(*block)) << "given out twice";
    if (static_cast<i64>(used.size() + plain.cached.size()) == total) {
      ASSERT_EQ(*block, plain.cached.front());
      plain.names.erase(*plain.name_of(*block));
      plain.cached.erase(plain.cached.begin());
    }
    plain.references[*block] = 1;
  } else if (call == 1) {
    const auto known = plain.names.find(key);
    const std::optional<i32> block = pool.find(key);
    ASSERT_EQ(block.has_value(), known != plain.names.end());
    if (!block) return;
    ASSERT_EQ(*block, known->second);
    ++plain.references[*block];
    std::erase(plain.cached, *block);
  } else if (!used.empty()) {
    const i32 block = used[static_cast<std::size_t>(rng.below(static_cast<i64>(used.size())))];
    if (call == 2) {
      pool.name(block, key);
      if (!plain.name_of(block)) plain.names.emplace(key, block);
    } else if (call == 3) {
      pool.share(block);
      ++plain.references[block];
    } else {
      pool.give_back(block);
      if (--plain.references[block]) return;
      plain.references.erase(block);
      if (plain.name_of(block)) plain.cached.push_back(block);
    }
  }
}

TEST(KvPool, CountsAreThoseOfPlainListsAfterAnyCalls) {
  for (u64 seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const i64 total = rng.between(1, 7);
    KvPool pool(small(), total * kBytes);
    Plain plain;
    for (int i = 0; i < 500; ++i) {
      ASSERT_NO_FATAL_FAILURE(random_call(pool, plain, total, rng)) << "seed " << seed << ", call " << i;
      const i64 used = static_cast<i64>(plain.references.size()),
                cached = static_cast<i64>(plain.cached.size());
      expect_counts(pool, used, cached, total - used - cached);
      for (const auto& [block, n] : plain.references) ASSERT_EQ(pool.references(block), n);
      ASSERT_LE(pool.bytes(), total * kBytes);
    }
  }
}

TEST(KvPool, BlocksOfAllLayersLieApart) {
  KvPool pool(small(), 2 * kBytes);
  const i32 a = *pool.take(), b = *pool.take();
  float value = 0;
  const auto each_row = [&](i32 block, const auto& visit) {
    for (i64 l = 0; l < 2; ++l)
      for (float* rows : {pool.keys(block, l), pool.values(block, l)})
        for (i64 i = 0; i < kKvBlock * 15; ++i) visit(rows[i]);
  };
  for (const i32 block : {a, b}) each_row(block, [&](float& x) { x = ++value; });
  float want = 0;
  for (const i32 block : {a, b}) each_row(block, [&](float& x) { ASSERT_EQ(x, ++want); });
  pool.copy(b, a);
  want = kKvBlock * 15 * 4;
  each_row(a, [&](float& x) { ASSERT_EQ(x, ++want); });
}

}  // namespace
}  // namespace pare
