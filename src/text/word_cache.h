// The ids of words met before: a fixed number of places that are filled once and never change, so that
// readers take no lock.
#pragma once
#include <atomic>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

/// Safe to use from several threads. Keeps words of at most kLongest bytes and kMostIds ids, while there is a
/// place for them; 4 MB.
class WordCache {
 public:
  static constexpr std::size_t kLongest = 25, kMostIds = 8, kPlaces = std::size_t{1} << 16;

  WordCache() : places_(kPlaces) {}

  /// Appends the ids of the word; false when it is not here. `hash` is hash_text(word).
  bool find(u64 hash, std::string_view word, std::vector<i32>& out) const;
  void add(u64 hash, std::string_view word, const i32* ids, std::size_t count);

 private:
  static constexpr std::size_t kWays = 4;  // places a word may take
  enum State : u8 { empty, filling, ready };
  /// One line of the processor's cache.
  struct alignas(64) Place {
    std::atomic<u8> state = empty;
    u8 bytes = 0, count = 0;
    char text[kLongest] = {};
    u32 hash = 0;
    i32 ids[kMostIds] = {};
  };
  static_assert(sizeof(Place) == 64);
  static std::size_t place(u64 hash, std::size_t way) {
    return static_cast<std::size_t>((hash >> 32) + way) & (kPlaces - 1);
  }

  std::vector<Place> places_;
};

}  // namespace pare
