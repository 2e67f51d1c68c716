// Counter-based random numbers: value i of stream s of seed k is a pure function, so any order, any number of
// threads and any resume give the same numbers on every machine.
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
#pragma once
#include <array>
#include <cmath>

#include "base/types.h"

namespace pare {

/// The four 32-bit words of Philox4x32-10 for one 128-bit counter and one 64-bit key.
std::array<u32, 4> philox(std::array<u32, 4> counter, u64 key);

/// A stream of numbers. `position()` and `seek()` make it resumable. Not thread-safe; copy it instead.
class Rng {
 public:
  explicit Rng(u64 seed, u64 stream = 0) : seed_(seed), stream_(stream) {}

  u32 next_u32();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Uniform integer in [0, n), without modulo bias. REQUIRES: n > 0.
  i64 below(i64 n);
  /// Uniform integer in [low, high].
  i64 between(i64 low, i64 high) { return low + below(high - low + 1); }
  /// Standard normal (Box-Muller, cosine branch; two draws each).
  double normal();

  u64 position() const { return position_; }
  void seek(u64 position) { position_ = position; }

 private:
  u64 seed_, stream_, position_ = 0;
};

/// Fisher-Yates over [begin, end) indices: the same permutation for the same stream.
template <class Sequence>
void shuffle(Sequence& items, Rng& rng) {
  for (i64 i = static_cast<i64>(items.size()) - 1; i > 0; --i) {
    const i64 j = rng.below(i + 1);
    std::swap(items[static_cast<std::size_t>(i)], items[static_cast<std::size_t>(j)]);
  }
}

}  // namespace pare
