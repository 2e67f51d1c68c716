// Logits do not depend on where keys and values lie or on who computed them: found in the pool or not, in
// blocks in any order, with any rest of other sequences in them, shared by sequences that part, the bits are
// those of one pass without a cache.
#include "backends.h"
#include "base/rng.h"
#include "model/fixture.h"
#include "model/kv_cache.h"
#include "model/kv_prefix.h"

namespace pare {
namespace {

std::vector<i32> random_ids(i64 n, i64 V, u64 seed) {
  Rng rng(seed);
  std::vector<i32> out;
  for (i64 i = 0; i < n; ++i) out.push_back(static_cast<i32>(rng.below(V)));
  return out;
}

/// Feeds ids[cache.tokens(), to) to a cache; the logits of those positions.
Tensor feed(const Model& m, KvCache& cache, const std::vector<i32>& ids, i64 to) {
  const i64 from = cache.tokens();
  Batch batch = pack_sequences({{ids.begin() + from, ids.begin() + to}});
  for (i64 i = 0; i < to - from; ++i) batch.pos.data<i32>()[i] = static_cast<i32>(from + i);
  batch.sequences[0].cache = &cache;
  Acts acts;
  forward(m, batch, acts);
  Tensor logits;
  head(m, acts.out, logits);
  return logits;
}

/// All blocks of the pool once used, given back in a random order, full of `value`.
void shuffle_blocks(KvPool& pool, const Config& c, float value, u64 seed) {
  std::vector<i32> blocks;
  while (const std::optional<i32> block = pool.take()) blocks.push_back(*block);
  for (const i32 block : blocks)
    for (i64 l = 0; l < c.L; ++l)
      for (float* rows : {pool.keys(block, l), pool.values(block, l)})
        std::fill_n(rows, kKvBlock * pool.width(), value);
  Rng rng(seed);
  shuffle(blocks, rng);
  for (const i32 block : blocks) pool.give_back(block);
}

class KvCacheSharing : public testing::TestWithParam<std::string> {
 protected:
  KvCacheSharing() { set_threads(1); }  // the models are too small for more
  ~KvCacheSharing() override { set_threads(0); }
  Model m = load_model(fixture::dir(GetParam()));
  KvPool pool{m.config, 20 * KvPool::block_bytes(m.config)};
};

TEST_P(KvCacheSharing, AHitGivesTheBitsOfAMiss) {
  const std::vector<i32> ids = random_ids(150, m.config.V, 1);
  const Tensor want = fixture::logits_of(m, ids);
  PrefixKeys keys("model");
  KvCache first(pool);
  for (const i64 to : {20, 70, 150}) feed(m, first, ids, to);
  first.publish(keys.extend(ids));
  for (const bool in_use : {true, false}) {
    if (!in_use) first.truncate(0);
    for (const i64 most : {149, 100, 32, 10}) {
      KvCache later(pool);
      const i64 hit = later.adopt(keys.extend(ids), most);
      ASSERT_EQ(hit, most / kKvBlock * kKvBlock);
      ASSERT_TRUE(identical(feed(m, later, ids, 150), want.rows(hit, 150))) << hit << " tokens found";
    }
  }
}

TEST_P(KvCacheSharing, BlocksInAnyOrderWithAnythingInThemGiveTheSameBits) {
  const std::vector<i32> ids = random_ids(170, m.config.V, 2);
  const Tensor want = fixture::logits_of(m, ids);
  for (u64 seed = 0; seed < 4; ++seed) {
    shuffle_blocks(pool, m.config, seed % 2 ? std::nanf("") : 1e30f, seed);
    KvCache cache(pool);
    i64 from = 0;
    for (const i64 to : {1, 33, 64, 170}) {
      ASSERT_TRUE(identical(feed(m, cache, ids, to), want.rows(from, to))) << "seed " << seed;
      from = to;
    }
    EXPECT_FALSE(std::is_sorted(cache.block_numbers().begin(), cache.block_numbers().end()));
  }
}

TEST_P(KvCacheSharing, SequencesThatPartKeepTheirOwnTokens) {
  std::vector<i32> a = random_ids(90, m.config.V, 3), b = a;
  const std::vector<i32> other = random_ids(90, m.config.V, 4);
  for (const i64 parting : {1, 40, 64}) {
    std::copy(other.begin() + parting, other.end(), b.begin() + parting);
    const Tensor want_a = fixture::logits_of(m, a), want_b = fixture::logits_of(m, b);
    KvCache one(pool);
    feed(m, one, a, parting);
    KvCache two = one.fork();
    // Turn by turn, so that each would see what the other wrote.
    for (i64 to = parting + 1; to < 90; to += 7) {
      const i64 from = one.tokens();
      ASSERT_TRUE(identical(feed(m, two, b, to), want_b.rows(from, to))) << parting;
      ASSERT_TRUE(identical(feed(m, one, a, to), want_a.rows(from, to))) << parting;
    }
    b = a;
  }
  EXPECT_EQ(pool.used(), 0);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         KvCacheSharing,
                         testing::ValuesIn(fixture::random_models()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace pare
