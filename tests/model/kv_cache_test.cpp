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
  for (const i64 piece : {1, 3, 63, 64, 65, 200}) {
    KvCache cache(small());
    expect_tokens(cache, 0);
    for (i64 t = 0; t < 200; t += piece) append(cache, t, std::min<i64>(piece, 200 - t));
    expect_tokens(cache, 200);
  }
}

TEST(KvCache, TruncatesToAnyLengthAndGoesOnFromThere) {
  for (const i64 keep : {0, 1, 63, 64, 65, 128, 200}) {
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
  EXPECT_EQ(KvCache::bytes_for(small(), 0), 0);
  EXPECT_EQ(KvCache::bytes_for(small(), 1), 64 * 15 * 2 * 2 * 4);
  EXPECT_EQ(KvCache::bytes_for(small(), 64), 64 * 15 * 2 * 2 * 4);
  EXPECT_EQ(KvCache::bytes_for(small(), 65), 2 * 64 * 15 * 2 * 2 * 4);
}

}  // namespace
}  // namespace pare
