#include "weights/bits.h"

#include <cstring>

namespace pare {

void pack_codes(const u8* codes, i64 count, int bits, u8* packed) {
  std::memset(packed, 0, static_cast<std::size_t>(packed_bytes(count, bits)));
  for (i64 i = 0; i < count; ++i) {
    const i64 bit = i * bits;
    const int value = codes[i] << (bit & 7);
    packed[bit >> 3] = static_cast<u8>(packed[bit >> 3] | value);
    if (value > 0xff) packed[(bit >> 3) + 1] = static_cast<u8>(value >> 8);
  }
}

void unpack_codes(const u8* packed, i64 count, int bits, u8* codes) {
  for (i64 i = 0; i < count; ++i) codes[i] = static_cast<u8>(packed_code(packed, i, bits));
}

}  // namespace pare
