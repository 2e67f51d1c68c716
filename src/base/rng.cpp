#include "base/rng.h"

#include <numbers>

namespace pare {

std::array<u32, 4> philox(std::array<u32, 4> c, u64 key) {
  u32 k0 = static_cast<u32>(key), k1 = static_cast<u32>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const u64 p0 = u64{0xD2511F53} * c[0], p1 = u64{0xCD9E8D57} * c[2];
    c = {static_cast<u32>(p1 >> 32) ^ c[1] ^ k0,
         static_cast<u32>(p1),
         static_cast<u32>(p0 >> 32) ^ c[3] ^ k1,
         static_cast<u32>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

u32 Rng::next_u32() {
  const u64 block = position_ / 4;
  const auto words = philox({static_cast<u32>(block),
                             static_cast<u32>(block >> 32),
                             static_cast<u32>(stream_),
                             static_cast<u32>(stream_ >> 32)},
                            seed_);
  return words[position_++ % 4];
}

double Rng::uniform() {
  const u64 high = next_u32() >> 5, low = next_u32() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

i64 Rng::below(i64 n) {
  const u64 range = static_cast<u64>(n);
  // The largest value that keeps all classes equal.
  const u64 limit = ~u64{0} - (~u64{0} % range + 1) % range;
  for (;;) {
    const u64 high = next_u32(), low = next_u32();
    const u64 value = (high << 32) | low;
    if (value <= limit) return static_cast<i64>(value % range);
  }
}

double Rng::normal() {
  const double u = 1.0 - uniform(), v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace pare
