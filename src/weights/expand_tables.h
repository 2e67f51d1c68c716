// Shuffles that spread values that lie side by side to the places whose bits are set, by the bits.
#pragma once
#include "base/types.h"

namespace pare {

/// By the bits: lane i takes the value whose number is the count of bits set below i, or zero when its own
/// bit is not set, as indices of bytes, 0x80 for zero. In a lane wider than the value it comes to the upper
/// end.
template <int kLanes, int kValueBytes, int kLaneBytes>
struct ExpandTable {
  alignas(64) u8 places[1 << kLanes][kLanes * kLaneBytes];

  constexpr ExpandTable() : places{} {
    for (int bits = 0; bits < 1 << kLanes; ++bits)
      for (int lane = 0, next = 0; lane < kLanes; ++lane) {
        const bool kept = bits >> lane & 1;
        for (int b = 0; b < kLaneBytes; ++b) {
          const int byte = b - (kLaneBytes - kValueBytes);
          places[bits][lane * kLaneBytes + b] =
              static_cast<u8>(kept && byte >= 0 ? next * kValueBytes + byte : 0x80);
        }
        next += kept;
      }
  }
};
inline constexpr ExpandTable<8, 2, 2> kExpandWords;
inline constexpr ExpandTable<8, 2, 4> kExpandWordsInFloats;
inline constexpr ExpandTable<8, 1, 4> kExpandBytesInFloats;
inline constexpr ExpandTable<4, 4, 4> kExpandFloats;

}  // namespace pare
