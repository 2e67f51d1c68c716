// UTF-8 steps and the byte ↔ character table of byte-level BPE.
// Source: Radford et al. 2019 (GPT-2): bytes 33–126, 161–172, 174–255 stand for themselves, the others, in
// order, for U+0100, U+0101, …
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "base/types.h"

namespace pare {

/// Bytes of the character that begins with `lead`: 1 to 4; 1 for a byte that begins none.
inline std::size_t utf8_length(char lead) {
  const u8 b = static_cast<u8>(lead);
  return b < 0xC2 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : b < 0xF5 ? 4 : 1;
}

/// A character as UTF-8. REQUIRES: code_point < 0x110000.
std::string utf8(u32 code_point);
/// Bytes of the valid character at the start of `text`, 0 when there is none.
std::size_t valid_character_bytes(std::string_view text);

/// The character (UTF-8) that stands for each byte.
const std::array<std::string, 256>& byte_characters();
/// Each byte of the text as its character.
std::string to_byte_characters(std::string_view bytes);
/// Back; a character that stands for no byte is kept as it is.
std::string from_byte_characters(std::string_view text);
/// True when every character stands for a byte.
bool is_byte_characters(std::string_view text);

/// Length of the longest prefix that ends in no cut-off character: what may be shown while more bytes follow.
std::size_t complete_utf8_prefix(std::string_view bytes);
/// Offset of the first byte that is not part of a valid character; text.size() when there is none.
std::size_t first_broken_utf8(std::string_view text);
/// Replaces each maximal broken part by U+FFFD.
std::string repair_utf8(std::string_view bytes);

}  // namespace pare
