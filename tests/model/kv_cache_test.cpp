// The cache holds what was appended, in blocks that come and go with its tokens.
#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

Config small() {
  Config c;
  c.L = 2;
  c.K = 3;
  c.E = 5;
  return c;
}

/// Row t of layer l: its keys are t·1000 + l·100 + column, its values the negative.
void append(KvCache& cache, i64 first, i64 rows) {
  for (i64 l = 0; l < 2; ++l) {
    std::vector<float> k, v;
    for (i64 t = first; t < first + rows; ++t)
      for (i64 j = 0; j < 15; ++j) {
        k.push_back(static_cast<float>(t * 1000 + l * 100 + j));
        v.push_back(-k.back());
      }
    cache.append(l, k.data(), v.data(), rows);
  }
  cache.commit(rows);
}

/// The same for a sequence that goes on otherwise: half a thousand more in each number.
void append_others(KvCache& cache, i64 first, i64 rows) {
  for (i64 l = 0; l < 2; ++l) {
    std::vector<float> k, v;
    for (i64 t = first; t < first + rows; ++t)
      for (i64 j = 0; j < 15; ++j) {
        k.push_back(static_cast<float>(t * 1000 + 500 + l * 100 + j));
        v.push_back(-k.back());
      }
    cache.append(l, k.data(), v.data(), rows);
  }
  cache.commit(rows);
}

/// `first` tokens of the one kind, then `rows` of the other.
void expect_others(const KvCache& cache, i64 first, i64 rows) {
  ASSERT_EQ(cache.tokens(), first + rows);
  for (i64 l = 0; l < 2; ++l) {
    AttentionSeq seq;
    cache.blocks(l, seq);
    for (i64 t = 0; t < first + rows; ++t) {
      const float want = static_cast<float>(t * 1000 + l * 100 + (t >= first ? 500 : 0));
      ASSERT_EQ(seq.k_blocks[static_cast<std::size_t>(t / kKvBlock)][t % kKvBlock * 15], want) << t;
      ASSERT_EQ(seq.v_blocks[static_cast<std::size_t>(t / kKvBlock)][t % kKvBlock * 15], -want) << t;
    }
  }
}

void expect_tokens(const KvCache& cache, i64 tokens) {
  ASSERT_EQ(cache.tokens(), tokens);
  EXPECT_EQ(cache.bytes(), KvCache::bytes_for(small(), tokens));
  for (i64 l = 0; l < 2; ++l) {
    AttentionSeq seq;
    cache.blocks(l, seq);
    EXPECT_EQ(seq.block_tokens, kKvBlock);
    ASSERT_EQ(static_cast<i64>(seq.k_blocks.size()), (tokens + kKvBlock - 1) / kKvBlock);
    ASSERT_EQ(seq.v_blocks.size(), seq.k_blocks.size());
    for (i64 t = 0; t < tokens; ++t)
      for (i64 j = 0; j < 15; ++j) {
        const std::size_t block = static_cast<std::size_t>(t / kKvBlock);
        const float want = static_cast<float>(t * 1000 + l * 100 + j);
        ASSERT_EQ(seq.k_blocks[block][t % kKvBlock * 15 + j], want) << t;
        ASSERT_EQ(seq.v_blocks[block][t % kKvBlock * 15 + j], -want) << t;
      }
  }
}

TEST(KvCache, HoldsWhatWasAppendedInPiecesOfAnySize) {
  for (const i64 piece : {1, 3, 31, 32, 33, 64, 65, 200}) {
    KvCache cache(small());
    expect_tokens(cache, 0);
    for (i64 t = 0; t < 200; t += piece) append(cache, t, std::min<i64>(piece, 200 - t));
    expect_tokens(cache, 200);
  }
}

TEST(KvCache, TruncatesToAnyLengthAndGoesOnFromThere) {
  for (const i64 keep : {0, 1, 31, 32, 33, 64, 65, 128, 200}) {
    KvCache cache(small());
    append(cache, 0, 200);
    cache.truncate(keep);
    expect_tokens(cache, keep);
    append(cache, keep, 70);
    expect_tokens(cache, keep + 70);
  }
  KvCache cache(small());
  append(cache, 0, 5);
  EXPECT_THROW(cache.truncate(6), Error);
  EXPECT_THROW(cache.truncate(-1), Error);
  expect_tokens(cache, 5);
}

TEST(KvCache, BytesAreWholeBlocksOfKeysAndValuesOfEveryLayer) {
  constexpr i64 block = 32 * 15 * 2 * 2 * 4;
  EXPECT_EQ(KvCache::bytes_for(small(), 0), 0);
  EXPECT_EQ(KvCache::bytes_for(small(), 1), block);
  EXPECT_EQ(KvCache::bytes_for(small(), 32), block);
  EXPECT_EQ(KvCache::bytes_for(small(), 33), 2 * block);
}

constexpr i64 kBlocks = 6;

/// A pool of kBlocks blocks.
struct Pooled : testing::Test {
  KvPool pool{small(), kBlocks* KvPool::block_bytes(small())};
};
using KvCacheOfAPool = Pooled;

TEST_F(KvCacheOfAPool, TakesBlocksAsItGrowsAndGivesThemBack) {
  {
    KvCache a(pool), b(pool);
    append(a, 0, 70);
    append(b, 0, 32);
    EXPECT_EQ(pool.used(), 4);
    a.truncate(64);
    EXPECT_EQ(pool.used(), 3);
    a.truncate(1);
    EXPECT_EQ(pool.used(), 2);
    KvCache moved(std::move(b));
    EXPECT_EQ(pool.used(), 2);
    expect_tokens(moved, 32);
  }
  EXPECT_EQ(pool.free(), kBlocks);
}

TEST_F(KvCacheOfAPool, SaysSoWhenThereIsNoRoomAndChangesNothing) {
  KvCache a(pool), b(pool);
  append(a, 0, 4 * 32 - 1);
  const auto used = [&] { return pool.used(); };
  EXPECT_FALSE(b.reserve(3 * 32));
  EXPECT_EQ(used(), 4);
  EXPECT_TRUE(b.reserve(2 * 32));
  EXPECT_EQ(used(), 6);
  EXPECT_TRUE(b.reserve(2 * 32)) << "has them";
  EXPECT_TRUE(a.reserve(1)) << "its last block has room";
  EXPECT_FALSE(a.reserve(2));
  EXPECT_EQ(used(), 6);
  b.truncate(0);
  EXPECT_EQ(used(), 4) << "blocks that were only reserved";
  EXPECT_TRUE(a.reserve(2));
  expect_tokens(b, 0);
}

TEST_F(KvCacheOfAPool, WritesNeverReachAnotherSequence) {
  for (const i64 tokens : {1, 31, 32, 33, 40, 64}) {
    SCOPED_TRACE(tokens);
    KvCache a(pool);
    append(a, 0, tokens);
    KvCache b = a.fork();
    const i64 shared = KvPool::blocks_for(tokens);
    EXPECT_EQ(pool.used(), shared) << "nothing is copied before it is written to";
    EXPECT_TRUE(std::equal(a.block_numbers().begin(), a.block_numbers().end(), b.block_numbers().begin()));
    append_others(b, tokens, 5);
    expect_tokens(a, tokens);
    const i64 own = KvPool::blocks_for(tokens + 5) - tokens / kKvBlock;
    EXPECT_EQ(pool.used(), shared + own) << "what it wrote to and no more";
    append(a, tokens, 5);
    expect_tokens(a, tokens + 5);
    expect_others(b, tokens, 5);
    b.truncate(0);
    expect_tokens(a, tokens + 5);
  }
  EXPECT_EQ(pool.free(), kBlocks);
}

TEST_F(KvCacheOfAPool, ACopyNeedsRoomToo) {
  KvCache a(pool);
  append(a, 0, 5 * 32 + 1);
  KvCache b = a.fork();
  EXPECT_FALSE(b.reserve(1));
  EXPECT_EQ(pool.used(), kBlocks);
  a.truncate(5 * 32);
  EXPECT_TRUE(b.reserve(1)) << "the block is its own now";
  EXPECT_EQ(pool.used(), kBlocks);
}

const std::vector<std::string> kKeys = {"a", "b", "c", "d"};

TEST_F(KvCacheOfAPool, FindsAgainWhatWasPublishedWithoutAGap) {
  KvCache a(pool);
  append(a, 0, 100);
  a.publish(kKeys);
  for (const auto& [most, want] :
       std::vector<std::pair<i64, i64>>{{0, 0}, {31, 0}, {32, 32}, {95, 64}, {200, 96}}) {
    KvCache b(pool);
    EXPECT_EQ(b.adopt(kKeys, most), want) << "at most " << most;
    expect_tokens(b, want);
  }
  KvCache c(pool);
  EXPECT_EQ(c.adopt(std::vector<std::string>{"a", "x", "c"}, 200), 32);
  EXPECT_EQ(pool.used(), 4);
  a.truncate(0);
  EXPECT_EQ(pool.used(), 1);
  EXPECT_EQ(pool.cached(), 2);
  KvCache d(pool);
  EXPECT_EQ(d.adopt(kKeys, 200), 96) << "cached, not in use";
  expect_tokens(d, 96);
  EXPECT_EQ(pool.cached(), 0);
}

TEST_F(KvCacheOfAPool, TheEndOfASequenceIsForgottenBeforeItsBeginning) {
  KvCache a(pool);
  append(a, 0, 128);
  a.publish(kKeys);
  a.truncate(0);
  EXPECT_EQ(pool.cached(), 4);
  KvCache b(pool);
  append(b, 0, 4 * 32);  // two free blocks and two of the cached
  KvCache c(pool);
  EXPECT_EQ(c.adopt(kKeys, 128), 64);
  expect_tokens(c, 64);
}

TEST_F(KvCacheOfAPool, ANameGoesBeforeItsContentsChange) {
  KvCache a(pool);
  append(a, 0, 64);
  a.publish(kKeys);
  a.truncate(40);
  append_others(a, 40, 24);
  {
    KvCache b(pool);
    EXPECT_EQ(b.adopt(kKeys, 64), 32) << "block b holds other tokens now";
  }
  a.publish(std::vector<std::string>{"a", "other"});
  KvCache b(pool);
  EXPECT_EQ(b.adopt(std::vector<std::string>{"a", "other"}, 64), 64);
  // Named and in use by two: the name stays with the old contents.
  b.truncate(50);
  append(b, 50, 14);
  KvCache c(pool);
  EXPECT_EQ(c.adopt(std::vector<std::string>{"a", "other"}, 64), 64);
  expect_others(c, 40, 24);
}

}  // namespace
}  // namespace pare
