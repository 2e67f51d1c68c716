// The limits of this machine, measured: every speed is reported as a share of them. And the memory of this
// process and machine.
//
//   read       all threads read a buffer that no cache holds, on huge pages where the kernel gives them: the
//              best of several access patterns and passes
//   f32        fused multiply-adds on registers, on the running tier; a multiply and an add each where it has
//              none
//   bf16       vdpbf16ps on registers (AVX-512 BF16)
//   int8       vpdpbusd on registers (AVX-512 VNNI), else vpmaddubsw + vpmaddwd + vpaddd
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/types.h"

namespace pare {

struct Memory {
  i64 total_bytes = 0;
  i64 available_bytes = 0;  // without swapping
};

/// Total and available memory: the machine's or the control group's (versions 1 and 2), whichever is less.
/// `root` stands before /proc and /sys, so that tests can show another machine.
Memory memory(const std::filesystem::path& root = "/");
i64 available_memory_bytes();

/// Resident memory of this process now, and its highest since the start or the last reset. 0 when the kernel
/// does not tell.
i64 rss_bytes();
i64 peak_rss_bytes();
/// Starts the peak anew from what is resident now. False when the kernel refuses; the peak then stays.
bool reset_peak_rss();

struct Caches {
  i64 l1d_bytes = 0, l2_bytes = 0, l3_bytes = 0;  // 0: none or not told; of one core for L1 and L2
};

struct MachineLimits {
  std::string cpu;  // "AMD EPYC 7763 64-Core Processor"
  std::string isa;  // the running tier, base/isa.h
  int cores = 0;    // that this process may use
  int threads = 0;  // used by the measurements
  Caches caches;
  Memory memory;
  double read_gb_per_s = 0;    // 1e9 bytes
  double f32_gflop_per_s = 0;  // a multiply-add counts as two
  std::optional<double> bf16_gflop_per_s;
  std::optional<double> int8_gop_per_s;
};

/// Measures for about `seconds` in all (at least one pass each), on threads() threads. Takes up to 1 GB of
/// memory, never more than a quarter of what is available.
MachineLimits measure_machine(double seconds);

/// The f32 peak alone, measured for about `seconds`: probed again and again beside work, as ReadProbe is.
double f32_gflop_per_s(double seconds);
/// The f32 peak for plans: measured once for each process, long enough for a machine that slept.
double planning_f32_gflop_per_s();
/// The same as f32_gflop_per_s() of bf16 products and of 8-bit integers; nothing where the tier has none.
std::optional<double> bf16_gflop_per_s(double seconds);
std::optional<double> int8_gop_per_s(double seconds);

std::string cpu_name(const std::filesystem::path& root = "/");
Caches cpu_caches(const std::filesystem::path& root = "/");

/// Read bandwidth, probed again and again beside work: on a shared machine it changes from minute to minute,
/// so a share of it is the median of (work / probe before and after it). Not thread-safe; owns its buffer.
class ReadProbe {
 public:
  /// Reserves and touches the buffer.
  ReadProbe();
  ~ReadProbe();
  ReadProbe(const ReadProbe&) = delete;
  ReadProbe& operator=(const ReadProbe&) = delete;

  i64 bytes() const;
  /// GB/s of one pass over the buffer with every access pattern, the best of them.
  double gb_per_s();

 private:
  struct Buffer;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace pare
