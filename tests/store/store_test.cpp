#include "store/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/signals.h"
#include "io/gguf.h"
#include "store/store_folder.h"

namespace pare {
namespace {

TEST_F(StoreTest, TheKeyIsTheHashOfTheInputsWithSortedKeys) {
  const json a = parse_json(R"({"stage":"round","options":{"bits":4,"group":32}})", "a");
  const json b = parse_json(R"({"options":{"group":32,"bits":4},"stage":"round"})", "b");
  EXPECT_EQ(Store::key_of(a), Store::key_of(b));
  EXPECT_EQ(Store::key_of(a), sha256(R"({"options":{"bits":4,"group":32},"stage":"round"})"));
  EXPECT_NE(Store::key_of(inputs(1)), Store::key_of(inputs(2)));
}

TEST_F(StoreTest, AnArtefactIsBuiltOnceAndFoundAgain) {
  Store store(root_);
  int builds = 0;
  const std::string key = Store::key_of(inputs(1));
  EXPECT_FALSE(store.find(key));
  const Artefact made = make(store, 1, &builds);
  const Artefact again = make(store, 1, &builds);
  EXPECT_EQ(builds, 1);
  EXPECT_EQ(made.hash, again.hash);
  EXPECT_EQ(made.dir, root_ / "artefacts" / key.substr(0, 2) / key);
  EXPECT_EQ(read_file(made.dir / "parts" / "model.safetensors"), text_of(1));
  i64 bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(made.dir))
    if (entry.is_regular_file()) bytes += static_cast<i64>(entry.file_size());
  EXPECT_EQ(made.bytes, bytes);
  EXPECT_EQ(entries(root_ / "work"), 0);
  EXPECT_EQ(entries(root_ / "locks"), 0);
}

TEST_F(StoreTest, TheHashIsThatOfSortedLinesOfFileHashes) {
  Store store(root_);
  const Artefact made = make(store, 1);
  std::string lines;
  for (const char* name : {"config.json", "pare.json", "parts/model.safetensors"})
    lines += sha256_file(made.dir / name) + "  " + name + "\n";
  EXPECT_EQ(made.hash, sha256(lines));
  EXPECT_EQ(artefact_hash(made.dir), sha256(lines));
}

TEST_F(StoreTest, TheHashOfAGgufFileIsThatOfItsBytes) {
  GgufMetadata metadata;
  metadata.text("general.name", "a");
  const fs::path file = folder_ / "a.gguf", part = folder_ / "p-00001-of-00002.gguf",
                 rest = folder_ / "p-00002-of-00002.gguf";
  GgufWriter(file, metadata, {}).finish();
  EXPECT_EQ(artefact_hash(file), sha256_file(file));
  metadata.count("split.count", 2);
  GgufWriter(part, metadata, {}).finish();
  GgufWriter(rest, GgufMetadata(), {}).finish();
  EXPECT_EQ(artefact_hash(part),
            sha256(sha256_file(part) + "  p-00001-of-00002.gguf\n" + sha256_file(rest) +
                   "  p-00002-of-00002.gguf\n"));
  write_file_atomic(file, "no GGUF");
  EXPECT_THROW(artefact_hash(file), Error);
}

TEST_F(StoreTest, PareJsonHoldsInputsAndFilesAndNothingOfTheMachine) {
  Store store(root_);
  const Artefact made = make(store, 4);
  const json about = read_json(made.dir / "pare.json");
  EXPECT_EQ(about["format"], 1);
  EXPECT_EQ(about["key"], made.key);
  EXPECT_EQ(about["options"]["bits"], 4);
  EXPECT_EQ(about["files"]["parts/model.safetensors"]["sha256"], sha256(text_of(4)));
  EXPECT_EQ(about["files"]["config.json"]["bytes"], 2);
  EXPECT_EQ(about.size(), 3 + inputs(4).size());
  Store other(folder_ / "another");
  EXPECT_EQ(make(other, 4).hash, made.hash);
}

TEST_F(StoreTest, AFailedBuildLeavesNothingButItsWork) {
  Store store(root_);
  const std::string key = Store::key_of(inputs(1));
  EXPECT_THROW(store.obtain(key,
                            inputs(1),
                            [](const fs::path& work, const fs::path& out) {
                              write_file_atomic(work / "journal", "half");
                              write_file_atomic(out / "model.safetensors", "half");
                              throw job_error("diverged");
                            }),
               Error);
  EXPECT_FALSE(store.find(key));
  EXPECT_EQ(temporaries(root_), 0);
  EXPECT_EQ(entries(root_ / "locks"), 0);
  store.obtain(key, inputs(1), [](const fs::path& work, const fs::path& out) {
    EXPECT_EQ(read_file(work / "journal"), "half");
    write_file_atomic(out / "model.safetensors", "whole");
  });
  EXPECT_EQ(entries(root_ / "work"), 0);
}

TEST_F(StoreTest, ALinkInsideAnArtefactIsRefused) {
  Store store(root_);
  expect_fault(Fault::job, "link", [&] {
    store.obtain(Store::key_of(inputs(1)), inputs(1), [](const fs::path&, const fs::path& out) {
      fs::create_symlink("/etc/hostname", out / "model.safetensors");
    });
  });
  EXPECT_EQ(temporaries(root_), 0);
}

// The builder keeps a journal of the parts it has and goes on from there.
void build_in_parts(const fs::path& work, const fs::path& out, useconds_t pause_us) {
  for (int part = 0; part < 6; ++part) {
    const fs::path file = work / std::to_string(part);
    if (!fs::exists(file)) write_file_atomic(file, std::string(10'000, static_cast<char>('a' + part)));
    ::usleep(pause_us);
  }
  for (int part = 0; part < 6; ++part)
    write_file_atomic(out / ("model-" + std::to_string(part)), read_file(work / std::to_string(part)));
}

TEST_F(StoreTest, KilledAnywhereTheNextTryMakesTheSameArtefactAndLeavesNothing) {
  Store undisturbed(folder_ / "undisturbed");
  const auto obtain = [](Store& store) {
    return store.obtain(Store::key_of(inputs(1)), inputs(1), [](const fs::path& work, const fs::path& out) {
      build_in_parts(work, out, 300);
    });
  };
  const Stopwatch watch;
  const std::string expected = obtain(undisturbed).hash;
  const double whole_s = watch.elapsed_s();
  Rng rng(20240501);
  int killed = 0;
  for (int round = 0; round < 15; ++round) {
    const fs::path root = folder_ / std::to_string(round);
    Store store(root);
    for (int attempt = 0; attempt < 3; ++attempt) {
      const pid_t pid = child([&] { obtain(store); });
      ::usleep(static_cast<useconds_t>(rng.uniform() * 1.1e6 * whole_s));
      ::kill(pid, SIGKILL);
      killed += wait(pid) == -SIGKILL;
      // Whatever is visible under its final name is whole.
      if (const auto found = store.find(Store::key_of(inputs(1)), true)) EXPECT_EQ(found->hash, expected);
      EXPECT_TRUE(fs::is_empty(root / "broken"));
    }
    EXPECT_EQ(obtain(store).hash, expected);
    EXPECT_EQ(artefact_hash(obtain(store).dir), expected);
    EXPECT_EQ(temporaries(root / "artefacts"), 0);
    store.gc(std::nullopt, std::nullopt, false);
    EXPECT_EQ(entries(root / "work") + entries(root / "locks"), 0);
    fs::remove_all(root);
  }
  EXPECT_GT(killed, 0) << "the kills came too late to say anything";
}

TEST_F(StoreTest, TwoProcessesOnOneKeyBuildItOnce) {
  Store store(root_);
  const fs::path builds = folder_ / "builds";
  std::vector<pid_t> pids;
  for (int process = 0; process < 4; ++process)
    pids.push_back(child([&] {
      store.obtain(Store::key_of(inputs(1)), inputs(1), [&](const fs::path&, const fs::path& out) {
        const int fd = ::open(builds.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (::write(fd, "b", 1) != 1) throw job_error("no mark");
        ::usleep(100'000);
        write_file_atomic(out / "model.safetensors", "once");
      });
    }));
  for (const pid_t pid : pids) EXPECT_EQ(wait(pid), 0);
  EXPECT_EQ(read_file(builds), "b");
  EXPECT_TRUE(store.find(Store::key_of(inputs(1)), true));
}

TEST_F(StoreTest, WaitingIsSaidOnceAndEndsWhenAStopIsAskedFor) {
  Store store(root_);
  int started[2];
  ASSERT_EQ(::pipe(started), 0);
  const pid_t pid = child([&] {
    store.obtain(Store::key_of(inputs(1)), inputs(1), [&](const fs::path&, const fs::path&) {
      if (::write(started[1], "x", 1) != 1) ::_exit(98);
      ::sleep(60);
    });
  });
  char mark;
  ASSERT_EQ(::read(started[0], &mark, 1), 1);
  request_stop(SIGINT);
  set_log_level(LogLevel::info);
  testing::internal::CaptureStderr();
  expect_fault(Fault::job, "SIGINT", [&] { make(store, 1); });
  const std::string said = testing::internal::GetCapturedStderr();
  clear_stop();
  ::kill(pid, SIGKILL);
  wait(pid);
  EXPECT_NE(said.find("waiting for artefact"), std::string::npos) << said;
  EXPECT_NE(said.find(fmt::format("process {}", pid)), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  ::close(started[0]);
  ::close(started[1]);
}

TEST_F(StoreTest, AFlippedBitAndACutFileAreFoundMovedAsideAndBuiltAgain) {
  Store store(root_);
  int builds = 0;
  const Artefact made = make(store, 1, &builds);
  const std::vector<std::function<void()>> damages = {
      [&] { flip(made.dir / "parts" / "model.safetensors"); },
      [&] { flip(made.dir / "pare.json"); },
      [&] { fs::resize_file(made.dir / "parts" / "model.safetensors", 17); },
      [&] { fs::resize_file(made.dir / "pare.json", 17); },
      [&] { fs::remove(made.dir / "config.json"); },
      [&] { fs::remove(made.dir / "pare.json"); },
      [&] { write_file_atomic(made.dir / "more", "x"); },
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    SCOPED_TRACE(i);
    ::usleep(20'000);  // a new time of change
    damages[i]();
    EXPECT_FALSE(store.find(made.key));
    EXPECT_FALSE(fs::exists(made.dir));
    EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "broken"), fs::directory_iterator()),
              static_cast<i64>(i) + 1);
    EXPECT_EQ(make(store, 1, &builds).hash, made.hash);
    EXPECT_EQ(builds, static_cast<int>(i) + 2);
  }
}

TEST_F(StoreTest, AFileIsHashedOncePerIdentityUnlessVerifyIsAsked) {
  Store store(root_);
  const Artefact made = make(store, 1);
  const fs::path file = made.dir / "parts" / "model.safetensors";
  ::usleep(80'000);
  ASSERT_TRUE(store.find(made.key));  // now remembered for good
  const auto changed = fs::last_write_time(file);
  flip(file);
  fs::last_write_time(file, changed);  // as a disk that rots
  EXPECT_TRUE(store.find(made.key)) << "it was hashed again although its identity is the same";
  EXPECT_FALSE(store.find(made.key, true));
  EXPECT_FALSE(fs::exists(made.dir));
}

TEST_F(StoreTest, ABrokenArtefactThatIsBeingBuiltAgainIsLeftToItsBuilder) {
  Store store(root_);
  const Artefact made = make(store, 1);
  fs::remove(made.dir / "config.json");
  int held[2];
  ASSERT_EQ(::pipe(held), 0);
  const pid_t pid = child([&] {
    const int fd = ::open((root_ / "locks" / made.key).c_str(), O_RDWR | O_CREAT, 0644);
    if (::flock(fd, LOCK_EX) != 0 || ::write(held[1], "x", 1) != 1) ::_exit(98);
    ::sleep(60);
  });
  char mark;
  ASSERT_EQ(::read(held[0], &mark, 1), 1);
  EXPECT_FALSE(store.find(made.key));
  EXPECT_TRUE(fs::exists(made.dir));
  ::kill(pid, SIGKILL);
  wait(pid);
  EXPECT_FALSE(store.find(made.key));
  EXPECT_FALSE(fs::exists(made.dir));
  ::close(held[0]);
  ::close(held[1]);
}

TEST_F(StoreTest, AFullDiskIsAJobErrorAndLeavesNothing) {
  Store store(root_);
  const pid_t pid = child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20'000, 20'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    make(store, 1);  // needs 50 000
  });
  EXPECT_EQ(wait(pid), static_cast<int>(Fault::job));
  EXPECT_EQ(temporaries(root_), 0);
  EXPECT_FALSE(store.find(Store::key_of(inputs(1))));
  EXPECT_TRUE(fs::is_empty(root_ / "broken"));
  // Too small even for pare.json: everything else was written by then.
  const pid_t second = child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    store.obtain(Store::key_of(inputs(1)), inputs(1), [](const fs::path&, const fs::path& out) {
      write_file_atomic(out / "model.safetensors", "small");
      const rlimit limit{16, 16};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    });
  });
  EXPECT_EQ(wait(second), static_cast<int>(Fault::job));
  EXPECT_EQ(temporaries(root_), 0);
  EXPECT_FALSE(
      fs::exists(root_ / "artefacts" / Store::key_of(inputs(1)).substr(0, 2) / Store::key_of(inputs(1))));
}

TEST_F(StoreTest, AStoreThatCannotBeWrittenIsAUserError) {
  write_file_atomic(folder_ / "file", "x");
  expect_fault(Fault::user, "--store", [&] { Store store(folder_ / "file" / "store"); });
  make(*std::make_unique<Store>(root_), 1);
  // As root no permission counts: the child becomes nobody.
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(root_.c_str(), 0555), 0);
  const pid_t pid = child([&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(98);
    Store store(root_);
  });
  EXPECT_EQ(wait(pid), static_cast<int>(Fault::user));
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
}

TEST_F(StoreTest, APrefixFindsOneArtefactByKeyOrHash) {
  Store store(root_);
  const Artefact a = make(store, 1);
  const Artefact b = make(store, 2);
  EXPECT_EQ(store.find_prefix(a.key.substr(0, 8))->key, a.key);
  EXPECT_EQ(store.find_prefix(b.hash.substr(0, 8))->key, b.key);
  EXPECT_EQ(store.find_prefix(b.key)->key, b.key);
  EXPECT_FALSE(store.find_prefix(a.key.substr(0, 5))) << "fewer than six digits";
  EXPECT_FALSE(store.find_prefix("zzzzzzzz"));
  EXPECT_FALSE(store.find_prefix("../../" + a.key));
  std::string none = a.key.substr(0, 8);
  none[7] = none[7] == '0' ? '1' : '0';
  EXPECT_FALSE(store.find_prefix(none));
  // Two keys with a common beginning.
  const auto build = [](const fs::path&, const fs::path& out) { write_file_atomic(out / "x", "x"); };
  store.obtain("abcdef0" + std::string(57, '1'), inputs(3), build);
  store.obtain("abcdef0" + std::string(57, '2'), inputs(4), build);
  expect_fault(Fault::user, "abcdef0", [&] { store.find_prefix("abcdef"); });
  EXPECT_EQ(store.find_prefix("ABCDEF01")->key, "abcdef0" + std::string(57, '1'));
}

TEST_F(StoreTest, AResultIsMadeOnceAndABrokenOneAgain) {
  Store store(root_);
  const std::string key = Store::key_of(inputs(1));
  int builds = 0;
  const auto obtain = [&] {
    return store.obtain_result(key, inputs(1), [&](const fs::path& work) {
      EXPECT_TRUE(fs::is_directory(work));
      ++builds;
      return json{{"ppl", 12.25}, {"nan", std::numeric_limits<double>::quiet_NaN()}};
    });
  };
  EXPECT_FALSE(store.find_result(key));
  const json first = obtain();
  EXPECT_EQ(first["ppl"], 12.25);
  EXPECT_EQ(first, obtain());
  EXPECT_EQ(first, *store.find_result(key));
  EXPECT_EQ(builds, 1);
  const fs::path file = root_ / "results" / key.substr(0, 2) / (key + ".json");
  std::string text = read_file(file);
  text.replace(text.find("12.25"), 5, "11.25");
  write_file_atomic(file, text);
  EXPECT_FALSE(store.find_result(key));
  EXPECT_FALSE(fs::is_empty(root_ / "broken"));
  EXPECT_EQ(obtain(), first);
  EXPECT_EQ(builds, 2);
  EXPECT_EQ(entries(root_ / "work") + entries(root_ / "locks"), 0);
}

}  // namespace
}  // namespace pare
