#include "measure/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <vector>

#include "base/isa.h"
#include "base/threads.h"
#include "measure/machine_cpu.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

// No absolute speeds: a test machine may be slow, shared or emulated. Only what holds on every machine.
TEST(Machine, LimitsAreOfASaneSize) {
  const MachineLimits limits = measure_machine(0.2);
  EXPECT_FALSE(limits.cpu.empty());
  EXPECT_EQ(limits.isa, isa_name());
  EXPECT_EQ(limits.threads, threads());
  EXPECT_GE(limits.cores, 1);
  EXPECT_GT(limits.read_gb_per_s, 0.1);
  EXPECT_LT(limits.read_gb_per_s, 10'000);
  EXPECT_GT(limits.f32_gflop_per_s, 0.1);
  EXPECT_LT(limits.f32_gflop_per_s, 1e6);
  if (limits.bf16_gflop_per_s) EXPECT_GT(*limits.bf16_gflop_per_s, 0.1);
  if (limits.int8_gop_per_s) EXPECT_GT(*limits.int8_gop_per_s, 0.1);
}

TEST(Machine, AWiderTierHasAHigherPeak) {
  if (supported_isas().size() < 2) GTEST_SKIP() << "this CPU has one tier only";
  set_threads(1);  // other programs on this machine disturb one thread least
  force_isa("scalar");
  const double narrow = measure_machine(0.1).f32_gflop_per_s;
  force_isa("");
  const double wide = measure_machine(0.1).f32_gflop_per_s;
  set_threads(0);
  EXPECT_GT(wide, narrow);
}

TEST(Machine, Int8IsMeasuredWhereTheTierHasTheInstructions) {
  float sink = 0;
  for (const std::string& tier : supported_isas()) {
    force_isa(tier);
    const bool has = tier == "avx2" || tier == "avx512" || tier == "avx512_vnni";
    EXPECT_EQ(cpu::int8_work(1, &sink) > 0, has) << tier;
  }
  force_isa("");
}

TEST(Machine, EveryReadPatternReadsEveryWordOnceOnEveryTier) {
  const i64 words = 8192;
  u32* buffer = static_cast<u32*>(std::aligned_alloc(64, words * sizeof(u32)));
  u32 expected = 0;
  for (i64 i = 0; i < words; ++i) expected ^= buffer[i] = static_cast<u32>(i) * 2654435761u + 12345u;
  for (const std::string& tier : supported_isas()) {
    force_isa(tier);
    for (int pattern = 0; pattern < cpu::kReadPatterns; ++pattern)
      EXPECT_EQ(cpu::read_words(buffer, words, pattern), expected) << tier << ", pattern " << pattern;
  }
  force_isa("");
  std::free(buffer);
}

TEST(Machine, TheReadProbeIsLargerThanTheCaches) {
  ReadProbe probe;
  if (available_memory_bytes() < i64{8} << 30) GTEST_SKIP() << "less than 8 GB are available";
  EXPECT_GE(probe.bytes(), i64{256} << 20);
  EXPECT_GT(probe.gb_per_s(), 0);
}

/// A made-up machine: files below a folder that stands for /.
class OtherMachine : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "pare-machine-XXXXXX").string();
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    root_ = pattern;
    file("proc/meminfo", "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:   12000 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void file(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  void expect_memory(i64 total_bytes, i64 available_bytes) {
    EXPECT_EQ(memory(root_).total_bytes, total_bytes);
    EXPECT_EQ(memory(root_).available_bytes, available_bytes);
  }
  fs::path root_;
};

TEST_F(OtherMachine, WithoutGroupsTheMachineIsTheLimit) { expect_memory(16'000 * 1024, 12'000 * 1024); }

TEST_F(OtherMachine, AGroupOfVersion2NarrowsAndFilePagesCountAsAvailable) {
  file("proc/self/cgroup", "0::/a/b\n");
  file("sys/fs/cgroup/a/b/memory.max", "8000000\n");
  file("sys/fs/cgroup/a/b/memory.current", "5000000\n");
  file("sys/fs/cgroup/a/b/memory.stat", "anon 3\nactive_file 900000\ninactive_file 1000000\n");
  expect_memory(8'000'000, 4'000'000);
}

TEST_F(OtherMachine, AGroupAboveNarrowsToo) {
  file("proc/self/cgroup", "0::/a/b\n");
  file("sys/fs/cgroup/a/b/memory.max", "max\n");
  file("sys/fs/cgroup/a/b/memory.current", "10\n");
  file("sys/fs/cgroup/a/memory.max", "7000000\n");
  file("sys/fs/cgroup/a/memory.current", "6000000\n");
  expect_memory(7'000'000, 1'000'000);
}

TEST_F(OtherMachine, AGroupOfVersion1NarrowsEvenWhenItsPathIsNotMounted) {
  file("proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/docker/0123\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "6000000\n");
  file("sys/fs/cgroup/memory/memory.usage_in_bytes", "6500000\n");
  file("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 700000\n");
  expect_memory(6'000'000, 200'000);
}

TEST_F(OtherMachine, AnUnlimitedGroupOfVersion1ChangesNothing) {
  file("proc/self/cgroup", "2:memory:/\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("sys/fs/cgroup/memory/memory.usage_in_bytes", "65\n");
  expect_memory(16'000 * 1024, 12'000 * 1024);
}

TEST_F(OtherMachine, NameAndCachesAreReadFromTheKernel) {
  file("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: other\n");
  const std::string cache = "sys/devices/system/cpu/cpu0/cache/index";
  const auto add = [&](int i, const std::string& level, const std::string& type, const std::string& size) {
    file(cache + std::to_string(i) + "/level", level + "\n");
    file(cache + std::to_string(i) + "/type", type + "\n");
    file(cache + std::to_string(i) + "/size", size + "\n");
  };
  add(0, "1", "Data", "32K");
  add(1, "1", "Instruction", "64K");
  add(2, "2", "Unified", "1M");
  EXPECT_EQ(cpu_name(root_), "Some CPU @ 3 GHz");
  const Caches found = cpu_caches(root_);
  EXPECT_EQ(found.l1d_bytes, 32 * 1024);
  EXPECT_EQ(found.l2_bytes, 1024 * 1024);
  EXPECT_EQ(found.l3_bytes, 0);
}

TEST(ProcessMemory, ThePeakKeepsWhatWasFreedUntilItIsReset) {
  constexpr i64 kBytes = i64{64} << 20, kSlack = i64{8} << 20;
  const i64 before = rss_bytes();
  ASSERT_GT(before, 0);
  void* data = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(data, MAP_FAILED);
  for (i64 i = 0; i < kBytes; i += 4096) static_cast<volatile char*>(data)[i] = 1;
  EXPECT_GE(rss_bytes(), before + kBytes - kSlack);
  ::munmap(data, kBytes);
  EXPECT_LT(rss_bytes(), before + kSlack);
  EXPECT_GE(peak_rss_bytes(), before + kBytes - kSlack);
  if (!reset_peak_rss()) GTEST_SKIP() << "this kernel does not reset the peak";
  EXPECT_LT(peak_rss_bytes(), before + kSlack);
}

TEST(ProcessMemory, TheMachineHasMoreThanThisProcessUses) {
  const Memory found = memory();
  EXPECT_GT(found.total_bytes, rss_bytes());
  EXPECT_GT(found.available_bytes, 0);
  EXPECT_LE(found.available_bytes, found.total_bytes);
}

}  // namespace
}  // namespace pare
