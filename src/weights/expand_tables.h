// Shuffles that spread values that lie side by side to the places whose bits are set, by the bits.
#pragma once
#include "base/types.h"

namespace pare {

/// Lane i takes the value whose number is the count of bits set below i, or zero when its own bit is not set:
/// as indices of bytes, 0x80 for zero.
struct ExpandTables {
  alignas(64) u8 bytes[256][8];   // eight values of a byte
  alignas(64) u8 words[256][16];  // eight values of two bytes
  alignas(64) u8 quads[16][16];   // four values of four bytes

  constexpr ExpandTables() : bytes{}, words{}, quads{} {
    fill(bytes, 1);
    fill(words, 2);
    fill(quads, 4);
  }

 private:
  template <int kRows, int kBytes>
  static constexpr void fill(u8 (&table)[kRows][kBytes], int width) {
    for (int bits = 0; bits < kRows; ++bits)
      for (int lane = 0, next = 0; lane < kBytes / width; ++lane) {
        const bool kept = bits >> lane & 1;
        for (int b = 0; b < width; ++b)
          table[bits][lane * width + b] = static_cast<u8>(kept ? next * width + b : 0x80);
        next += kept;
      }
  }
};
inline constexpr ExpandTables kExpandTables;

}  // namespace pare
