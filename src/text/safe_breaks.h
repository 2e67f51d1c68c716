// Where a text may be cut without changing its byte-pair encoding.
//
// A merge makes a piece that is the text of its two parts. If no merge's result holds a directly before b, no
// merge ever reaches across a|b, so what stands before and behind is encoded independently.
#pragma once
#include <array>
#include <string_view>
#include <unordered_set>

#include "base/types.h"

namespace pare {

class SafeBreaks {
 public:
  /// Whether the units of a text are bytes (byte-level BPE) or characters.
  explicit SafeBreaks(bool bytes) : bytes_(bytes) {}
  /// `result` is what a merge makes.
  void add(std::string_view result);
  /// End of the part of `text` that begins at 0: the first safe break, or text.size().
  std::size_t first(std::string_view text) const;

 private:
  // Pairs of units below 256 are looked up at once; the replacement of spaces (U+2581) gets a number of its
  // own there, since it stands in nearly every word.
  static constexpr u32 kDirect = 257, kSpace = 256;
  u32 unit(std::string_view text, std::size_t at, std::size_t& bytes) const;
  bool joined(u32 a, u32 b) const {
    if (a < kDirect && b < kDirect) return direct_[a][b];
    return others_.contains(static_cast<u64>(a) << 32 | b);
  }

  bool bytes_;
  std::array<std::array<bool, kDirect>, kDirect> direct_{};
  std::unordered_set<u64> others_;
};

}  // namespace pare
