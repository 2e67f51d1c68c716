// Two sequences have a key in common exactly where they, and what they are salted with, are equal up to
// there.
#include "model/kv_prefix.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "model/kv_pool.h"

namespace pare {
namespace {

std::vector<i32> random_ids(i64 n, u64 seed) {
  Rng rng(seed);
  std::vector<i32> out;
  for (i64 i = 0; i < n; ++i) out.push_back(static_cast<i32>(rng.below(1000)));
  return out;
}

std::vector<std::string> keys_of(std::string_view salt, const std::vector<i32>& ids) {
  PrefixKeys keys(salt);
  const auto found = keys.extend(ids);
  return {found.begin(), found.end()};
}

TEST(PrefixKeys, AreThereForFullBlocksOnly) {
  for (const i64 n : {0, 1, 31, 32, 33, 63, 64, 200})
    EXPECT_EQ(static_cast<i64>(keys_of("m", random_ids(n, 1)).size()), n / kKvBlock) << n;
}

TEST(PrefixKeys, DependOnEveryTokenBeforeAndOnNoneAfter) {
  const std::vector<i32> ids = random_ids(160, 2);
  const std::vector<std::string> want = keys_of("m", ids);
  for (i64 changed = 0; changed < 160; changed += 13) {
    std::vector<i32> other = ids;
    other[static_cast<std::size_t>(changed)] += 1;
    const std::vector<std::string> found = keys_of("m", other);
    for (std::size_t b = 0; b < want.size(); ++b)
      EXPECT_EQ(found[b] == want[b], static_cast<i64>(b) < changed / kKvBlock) << changed << " " << b;
  }
}

TEST(PrefixKeys, ModelsShareNothing) {
  const std::vector<i32> ids = random_ids(96, 3);
  EXPECT_EQ(keys_of("m", ids), keys_of("m", ids));
  const std::vector<std::string> a = keys_of("m", ids), b = keys_of("n", ids);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NE(a[i], b[i]);
}

TEST(PrefixKeys, AreTheSameHoweverTheTokensCame) {
  const std::vector<i32> ids = random_ids(200, 4);
  const std::vector<std::string> want = keys_of("m", ids);
  for (const std::size_t step : {1, 7, 32, 50}) {
    PrefixKeys keys("m");
    for (std::size_t n = 0; n < ids.size(); n = std::min(n + step, ids.size())) {
      const auto found = keys.extend({ids.data(), n});
      EXPECT_EQ(std::vector<std::string>(found.begin(), found.end()),
                std::vector<std::string>(want.begin(), want.begin() + static_cast<i64>(n) / kKvBlock));
    }
  }
}

}  // namespace
}  // namespace pare
