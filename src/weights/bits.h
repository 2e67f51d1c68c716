// Codes of 2 to 8 bits packed without gaps: code i takes bits [i·b, (i+1)·b) of its row, counted from the
// lowest bit of the first byte. A row fills whole bytes, the last one padded with zero bits.
#pragma once
#include "base/types.h"

namespace pare {

/// Bytes of a row of `count` codes.
inline i64 packed_bytes(i64 count, int bits) { return (count * bits + 7) / 8; }

/// codes[i] < 2^bits for i < count  →  writes packed_bytes(count, bits) bytes. They must not overlap.
void pack_codes(const u8* codes, i64 count, int bits, u8* packed);
/// The inverse: writes `count` codes.
void unpack_codes(const u8* packed, i64 count, int bits, u8* codes);

/// One code. Reads only bytes that hold it.
inline int packed_code(const u8* packed, i64 i, int bits) {
  const i64 bit = i * bits;
  const int low = static_cast<int>(bit & 7);
  int value = packed[bit >> 3] >> low;
  if (low + bits > 8) value |= packed[(bit >> 3) + 1] << (8 - low);
  return value & ((1 << bits) - 1);
}

}  // namespace pare
