#include "measure/machine.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>

#include "base/clock.h"
#include "base/error.h"
#include "base/isa.h"
#include "base/threads.h"
#include "measure/machine_cpu.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr i64 kLeastBufferBytes = i64{256} << 20, kMostBufferBytes = i64{1} << 30;
// One piece of work for a thread: 16 MB, a multiple of the huge page and of what read_words() wants.
constexpr i64 kPieceBytes = i64{16} << 20;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

int usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

i64 buffer_bytes() {
  const i64 wanted = std::clamp(4 * cpu_caches().l3_bytes, kLeastBufferBytes, kMostBufferBytes);
  const i64 most = available_memory_bytes() / 4;
  return std::max<i64>(1, std::min(wanted, most) / kPieceBytes) * kPieceBytes;
}

/// The best rate of `work` on all threads at once, in 1e9 operations a second, over about `seconds`; nothing
/// when the tier has no such instruction.
std::optional<double> best_rate(double seconds, const std::function<double(i64, float*)>& work) {
  float probe = 0;
  if (work(1, &probe) == 0) return std::nullopt;
  // Rounds of about 2 ms: long against starting the threads, short enough for a quiet one on a busy machine.
  constexpr double kRoundS = 2e-3;
  i64 steps = 1000;
  for (;;) {
    // The quickest of three: one that was interrupted must not pass for a long one.
    double quickest_s = kRoundS + 1;
    for (int i = 0; i < 3; ++i) {
      const Stopwatch watch;
      work(steps, &probe);
      quickest_s = std::min(quickest_s, watch.elapsed_s());
    }
    if (quickest_s > kRoundS) break;
    steps *= 2;
  }
  double best = 0;
  const Stopwatch total;
  do {
    std::atomic<double> operations{0};
    const Stopwatch watch;
    parallel_rows(threads(), 1, [&](i64 begin, i64 end) {
      float sink = 0;
      for (i64 i = begin; i < end; ++i) operations.fetch_add(work(steps, &sink));
    });
    best = std::max(best, operations / watch.elapsed_s() / 1e9);
  } while (total.elapsed_s() < seconds);
  return best;
}

}  // namespace

std::string cpu_name(const fs::path& root) {
  std::ifstream in(root / "proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos && colon + 2 <= line.size())
      return line.substr(colon + 2);
  }
  // Arm's kernel gives no name.
  struct utsname names {};
  return ::uname(&names) == 0 ? names.machine : "unknown";
}

Caches cpu_caches(const fs::path& root) {
  Caches found;
  for (int index = 0; index < 8; ++index) {
    const fs::path folder = root / "sys/devices/system/cpu/cpu0/cache" / ("index" + std::to_string(index));
    const std::string level = first_line(folder / "level"), size = first_line(folder / "size");
    if (first_line(folder / "type") == "Instruction" || size.empty()) continue;
    const i64 unit = size.back() == 'K' ? 1024 : size.back() == 'M' ? 1024 * 1024 : 1;
    const i64 bytes = std::strtoll(size.c_str(), nullptr, 10) * unit;
    if (level == "1") found.l1d_bytes = bytes;
    if (level == "2") found.l2_bytes = bytes;
    if (level == "3") found.l3_bytes = bytes;
  }
  return found;
}

struct ReadProbe::Buffer {
  u32* words = nullptr;
  i64 bytes = 0;
  std::atomic<u32> sink{0};
};

ReadProbe::ReadProbe() : buffer_(std::make_unique<Buffer>()) {
  const i64 bytes = buffer_bytes();
  void* data = ::mmap(
      nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw job_error("the read probe found no {} MB of memory", bytes >> 20);
  // Without huge pages the walk through the page tables is measured too. A refusal is no error.
  ::madvise(data, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
  buffer_->words = static_cast<u32*>(data);
  buffer_->bytes = bytes;
  // Written, or every page would be the one page of zeros; by the threads that read it, for its place in
  // memory.
  parallel_rows(bytes / kPieceBytes, 1, [&](i64 begin, i64 end) {
    const i64 piece_words = kPieceBytes / 4;
    for (i64 i = begin * piece_words; i < end * piece_words; ++i) buffer_->words[i] = static_cast<u32>(i);
  });
}

ReadProbe::~ReadProbe() { ::munmap(buffer_->words, static_cast<std::size_t>(buffer_->bytes)); }

i64 ReadProbe::bytes() const { return buffer_->bytes; }

double ReadProbe::gb_per_s() {
  double best = 0;
  const i64 piece_words = kPieceBytes / 4;
  for (int pattern = 0; pattern < cpu::kReadPatterns; ++pattern) {
    const Stopwatch watch;
    parallel_rows(buffer_->bytes / kPieceBytes, 1, [&](i64 begin, i64 end) {
      buffer_->sink ^=
          cpu::read_words(buffer_->words + begin * piece_words, (end - begin) * piece_words, pattern);
    });
    best = std::max(best, static_cast<double>(buffer_->bytes) / watch.elapsed_s() / 1e9);
  }
  return best;
}

double f32_gflop_per_s(double seconds) { return best_rate(seconds, cpu::f32_work).value_or(0); }

double planning_f32_gflop_per_s() {
  static const double rate = f32_gflop_per_s(0.3);
  return rate;
}

std::optional<double> bf16_gflop_per_s(double seconds) { return best_rate(seconds, cpu::bf16_work); }
std::optional<double> int8_gop_per_s(double seconds) { return best_rate(seconds, cpu::int8_work); }

MachineLimits measure_machine(double seconds) {
  MachineLimits limits;
  limits.cpu = cpu_name();
  limits.isa = isa_name();
  limits.cores = usable_cores();
  limits.threads = threads();
  limits.caches = cpu_caches();
  limits.memory = memory();
  // Memory varies most, so it gets half of the time.
  limits.f32_gflop_per_s = f32_gflop_per_s(seconds / 6);
  limits.bf16_gflop_per_s = pare::bf16_gflop_per_s(seconds / 6);
  limits.int8_gop_per_s = pare::int8_gop_per_s(seconds / 6);
  ReadProbe probe;
  const Stopwatch watch;
  do {
    limits.read_gb_per_s = std::max(limits.read_gb_per_s, probe.gb_per_s());
  } while (watch.elapsed_s() < seconds / 2);
  return limits;
}

}  // namespace pare
