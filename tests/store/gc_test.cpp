#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "store/store_folder.h"

namespace pare {
namespace {

class Gc : public StoreTest {
 protected:
  /// Says that an artefact was last used `days` ago.
  void age(const Artefact& artefact, double days) {
    const fs::path seen = root_ / "seen" / (artefact.key + ".json");
    ASSERT_TRUE(fs::exists(seen));
    const timespec then{static_cast<time_t>(unix_time_s() - days * 86400), 0};
    const timespec times[2] = {then, then};
    ASSERT_EQ(::utimensat(AT_FDCWD, seen.c_str(), times, 0), 0);
  }
  static bool has(const std::vector<GcItem>& items, const fs::path& path) {
    return std::any_of(items.begin(), items.end(), [&](const GcItem& item) { return item.path == path; });
  }
};

TEST_F(Gc, WithoutLimitsOnlyLeftOversGo) {
  Store store(root_);
  const Artefact kept = make(store, 1);
  const fs::path shelf = kept.dir.parent_path();
  const fs::path half = shelf / (".tmp-" + kept.key + "-99-0");
  const fs::path broken = root_ / "broken" / (kept.key + "-1");
  const fs::path finished = root_ / "work" / kept.key;
  const fs::path unfinished = root_ / "work" / Store::key_of(inputs(2));
  for (const auto& dir : {half, broken, finished, unfinished}) {
    fs::create_directories(dir);
    write_file_atomic(dir / "file", "12345");
  }
  const i64 before = entries(root_);
  const auto planned = store.gc(std::nullopt, std::nullopt, true);
  EXPECT_EQ(entries(root_), before) << "a dry run changed something";
  const auto done = store.gc(std::nullopt, std::nullopt, false);
  ASSERT_EQ(planned.size(), done.size());
  EXPECT_EQ(done.size(), 3);
  for (const auto& dir : {half, broken, finished}) {
    EXPECT_TRUE(has(planned, dir)) << dir;
    EXPECT_FALSE(fs::exists(dir)) << dir;
  }
  for (const auto& item : done) EXPECT_EQ(item.bytes, 5);
  EXPECT_TRUE(fs::exists(unfinished / "file"));
  EXPECT_TRUE(store.find(kept.key, true));
  EXPECT_TRUE(store.gc(std::nullopt, std::nullopt, false).empty());
}

TEST_F(Gc, TheLeastRecentlyUsedGoUntilTheRestFits) {
  Store store(root_);
  const Artefact a = make(store, 1), b = make(store, 2), c = make(store, 3);
  age(a, 3);
  age(b, 2);
  age(c, 1);
  ASSERT_TRUE(store.find(a.key));  // used now
  const auto items = store.gc(a.bytes + c.bytes, std::nullopt, false);
  ASSERT_EQ(items.size(), 1);
  EXPECT_EQ(items[0].path, b.dir);
  EXPECT_EQ(items[0].bytes, b.bytes);
  EXPECT_TRUE(store.find(a.key));
  EXPECT_FALSE(store.find(b.key));
  EXPECT_TRUE(store.find(c.key));
  EXPECT_FALSE(fs::exists(root_ / "seen" / (b.key + ".json")));
  EXPECT_EQ(store.gc(0, std::nullopt, false).size(), 2);
  EXPECT_EQ(temporaries(root_), 0);
}

TEST_F(Gc, WhatIsOlderThanTheLimitGoes) {
  Store store(root_);
  const Artefact old = make(store, 1), young = make(store, 2);
  age(old, 31);
  age(young, 29);
  const auto items = store.gc(std::nullopt, 30, false);
  ASSERT_EQ(items.size(), 1);
  EXPECT_EQ(items[0].path, old.dir);
  EXPECT_FALSE(fs::exists(old.dir));
  EXPECT_TRUE(fs::exists(young.dir));
}

TEST_F(Gc, WhatIsLockedIsNeverTouched) {
  Store store(root_);
  const Artefact held = make(store, 1), loose = make(store, 2);
  fs::create_directories(root_ / "work" / held.key);
  const int fd = ::open((root_ / "locks" / held.key).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  EXPECT_FALSE(has(store.gc(0, 0, true), held.dir));
  EXPECT_FALSE(has(store.gc(0, 0, false), held.dir));
  EXPECT_TRUE(fs::exists(held.dir));
  EXPECT_TRUE(fs::exists(root_ / "work" / held.key));
  EXPECT_TRUE(fs::exists(root_ / "locks" / held.key));
  EXPECT_FALSE(fs::exists(loose.dir));
  ::close(fd);
  EXPECT_TRUE(has(store.gc(0, 0, false), held.dir));
  EXPECT_EQ(entries(root_ / "locks"), 0);
}

}  // namespace
}  // namespace pare
