// Pieces of text → ids, and pairs of ids → what they become: flat tables that are filled once and then read
// by any number of threads.
#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

/// 64 bits of hash over the bytes of a text; the same on every machine of one byte order.
inline u64 hash_text(std::string_view text) {
  const auto mix = [](u64 a, u64 b) {
    const unsigned __int128 p = static_cast<unsigned __int128>(a) * b;
    return static_cast<u64>(p) ^ static_cast<u64>(p >> 64);
  };
  const auto load = [](const char* p, std::size_t n) {
    u64 v = 0;
    std::memcpy(&v, p, n);
    return v;
  };
  constexpr u64 k0 = 0xA0761D6478BD642F, k1 = 0xE7037ED1A0B428DB;
  const char* p = text.data();
  std::size_t n = text.size();
  u64 h = k0 ^ n * 0x9E3779B97F4A7C15;
  for (; n > 8; p += 8, n -= 8) h = mix(h ^ load(p, 8), k1);
  // The last 0 to 8 bytes, without a loop.
  u64 last = 0;
  if (n >= 4)
    last = load(p, 4) << 32 | load(p + n - 4, 4);
  else if (n > 0)
    last = static_cast<u64>(static_cast<u8>(p[0])) << 16 | static_cast<u64>(static_cast<u8>(p[n / 2])) << 8 |
           static_cast<u64>(static_cast<u8>(p[n - 1]));
  return mix(h ^ last, k0 ^ k1);
}

class PieceTable {
 public:
  /// Makes room; adding more than this still works.
  explicit PieceTable(std::size_t pieces = 0);
  /// False, and nothing changes, when the piece is there already. REQUIRES: id >= 0.
  bool add(std::string_view piece, i32 id);
  /// -1 when there is no such piece.
  i32 find(std::string_view piece) const;
  std::size_t size() const { return count_; }

 private:
  struct Slot {
    i32 id = -1;
    u32 hash = 0, offset = 0, bytes = 0;
  };
  /// The slot of the piece, or the free one where it would go.
  std::size_t place(u64 hash, std::string_view piece) const;
  void grow();

  std::string bytes_;  // all pieces, one behind the other
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

class PairTable {
 public:
  struct Value {
    i32 rank = -1, result = -1;
  };

  explicit PairTable(std::size_t pairs = 0);
  /// Replaces the value of a pair that is there already.
  void set(i32 left, i32 right, Value value);
  /// rank -1 when there is no such pair.
  Value find(i32 left, i32 right) const {
    const u64 k = key(left, right);
    for (std::size_t at = place(k);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& s = slots_[at];
      if (s.key == k) return s.value;
      if (s.key == kEmpty) return {};
    }
  }
  std::size_t size() const { return count_; }

 private:
  static constexpr u64 kEmpty = ~u64{0};  // ids are not negative, so no pair has this key
  struct Slot {
    u64 key = kEmpty;
    Value value;
  };
  static u64 key(i32 left, i32 right) {
    return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
  }
  std::size_t place(u64 k) const {
    const u64 h = k * 0x9E3779B97F4A7C15;
    return static_cast<std::size_t>(h >> 32 ^ h) & (slots_.size() - 1);
  }
  void grow();

  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

}  // namespace pare
