// A full disk, a read-only store: one line, exit code 1 or 2, nothing half-written, and room makes it go on.
#include <sched.h>
#include <sys/mount.h>

#include "cli/program.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

class Disk : public ProgramTest {
 protected:
  Disk()
      : recipe_(file("tiny.yaml",
                     "model: sums-3m\nvariants: {baseline: [], int8: [quantize.int8], nf4: [quantize.nf4]}\n"
                     "measure: [size]\nobjectives: {size.disk_bytes: min}\n")) {}
  ~Disk() override {
    if (!mounted_.empty()) ::umount2(mounted_.c_str(), MNT_DETACH);
  }
  Args run() const { return {"run", recipe_, "--json", "--yes"}; }
  /// A disk of its own, seen by this test alone. False where that is not allowed.
  bool mount_disk(const fs::path& at, const std::string& size) {
    fs::create_directories(at);
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return false;
    if (::mount("tmpfs", at.c_str(), "tmpfs", 0, ("size=" + size).c_str()) != 0) return false;
    mounted_ = at;
    return true;
  }
  void expect_nothing_half_written() const {
    for (const auto& entry : fs::recursive_directory_iterator(store())) {
      const std::string name = entry.path().filename().string();
      EXPECT_FALSE(name.starts_with(".tmp-")) << entry.path();
      if (name == "pare.json") expect_done(pare({"info", entry.path().parent_path()}));
    }
    EXPECT_TRUE(fs::is_empty(store() / "broken"));
  }
  fs::path recipe_, mounted_;
};

TEST_F(Disk, AFullOneIsAJobErrorAndRoomMakesTheSameCommandGoOn) {
  const json expected = [&] {
    use_home("roomy");
    return pare(run()).document();
  }();
  use_home("full");
  if (!mount_disk(store(), "4m")) GTEST_SKIP() << "NOT TESTED: a disk can only be mounted by root";
  const Outcome full = pare(run());
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_NE(full.err.find("No space left on device"), std::string::npos) << full.err;
  EXPECT_EQ(full.err.find("bug"), std::string::npos) << full.err;
  expect_nothing_half_written();
  EXPECT_EQ(pare({"runs", "--json"}).document()[0]["status"], "failed");
  ASSERT_EQ(::mount("tmpfs", store().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  const Outcome again = pare(run());
  expect_done(again);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(again.document()["variants"][i]["artefact_hash"], expected["variants"][i]["artefact_hash"]);
  expect_nothing_half_written();
}

TEST_F(Disk, APlanThatCannotFitTheDiskIsRefused) {
  if (!mount_disk(store(), "4m")) GTEST_SKIP() << "NOT TESTED: a disk can only be mounted by root";
  expect_refused(pare({"run", recipe_}), 2, "are free; `pare gc` makes room");
}

TEST_F(Disk, FullWhereRunsAreRecorded) {
  if (!mount_disk(runs_db().parent_path(), "64k"))
    GTEST_SKIP() << "NOT TESTED: a disk can only be mounted by root";
  write_file_atomic(runs_db().parent_path() / "filler", std::string(4000, 'x'));
  const Outcome o = pare(run());
  if (o.code == 0) GTEST_SKIP() << "the records fit";
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_NE(o.err.find("pare: " + runs_db().parent_path().string()), std::string::npos) << o.err;
  expect_nothing_half_written();
}

TEST_F(Disk, AFileSizeLimitIsAJobErrorToo) {
  const auto limited = [] {
    const rlimit limit{400'000, 400'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  const Outcome o = pare(run(), "", limited);
  EXPECT_EQ(o.code, 1) << "signal " << o.signal << ": " << o.err;
  EXPECT_NE(o.err.find("File too large"), std::string::npos) << o.err;
  expect_nothing_half_written();
  expect_done(pare(run()));
  for (const Args& args : {Args{"data", "make", "model", "--out", root_ / "m"},
                           Args{"data", "make", "sums", "--n", "20000", "--out", root_ / "d"}}) {
    const Outcome made = pare(args, "", limited);
    EXPECT_EQ(made.code, 1) << args[2] << " signal " << made.signal << ": " << made.err;
    EXPECT_EQ(made.error_lines(), 1) << made.err;
  }
}

TEST_F(Disk, AReadOnlyStoreIsRefusedInOneLine) {
  expect_done(pare(run()));
  const auto as_nobody = [] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(125);
  };
  ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
  const Outcome probe = pare({"--version"}, "", as_nobody);
  if (probe.code != 0) GTEST_SKIP() << "NOT TESTED: another user may not start the program here";
  expect_refused(pare({"run", recipe_}, "", as_nobody),
                 2,
                 "the store cannot be written: Permission denied; give --store");
  expect_refused(pare({"gc", "--store", "/proc/pare"}), 2, "the store cannot be made");
  expect_refused(pare({"run", recipe_, "--store", recipe_}), 2, "the store cannot be made");
  // A store of one's own, records of somebody else's.
  ::setenv("PARE_HOME", (root_ / "own").c_str(), 1);
  fs::create_directory(root_ / "own");
  ASSERT_EQ(::chmod((root_ / "own").c_str(), 0777), 0);
  expect_refused(pare({"run", recipe_}, "", as_nobody), 2, "runs.db");
}

TEST_F(Disk, AReadOnlyFileSystemIsRefusedInOneLine) {
  if (!mount_disk(store(), "64m")) GTEST_SKIP() << "NOT TESTED: a disk can only be mounted by root";
  expect_done(pare(run()));
  ASSERT_EQ(::mount("tmpfs", store().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
  expect_refused(pare(run()), 2, "the store cannot be written: Read-only file system; give --store");
}

TEST_F(Disk, AConversionThatDoesNotFitLeavesNothing) {
  const fs::path disk = root_ / "disk";
  if (!mount_disk(disk, "1m")) GTEST_SKIP() << "NOT TESTED: a disk can only be mounted by root";
  for (const auto& [to, type] : {std::pair("compressed-tensors", "w8a16"), std::pair("gptq", "int8_row")}) {
    const Outcome full = pare({"convert", "sums-3m", disk / "m", "--to", to, "--type", type});
    EXPECT_EQ(full.code, 1) << full.err;
    EXPECT_EQ(full.error_lines(), 1) << full.err;
    EXPECT_NE(full.err.find("No space left on device"), std::string::npos) << full.err;
    EXPECT_TRUE(fs::is_empty(disk)) << to;
  }
}

}  // namespace
}  // namespace pare
