// The character classes \p{L}, \p{N} and \s as the tokenizers' reference engine knows them (Unicode 16), and
// \w around added tokens.
//
// PCRE2 as installed knows an older Unicode, and counts U+180E as a space.
#pragma once
#include <string_view>

#include "base/types.h"

namespace pare {

bool is_letter(u32 code_point);
bool is_number(u32 code_point);
bool is_unicode_space(u32 code_point);
/// Letters, numbers, marks and connectors such as _.
bool is_word_character(u32 code_point);

struct Utf8Character {
  u32 code_point;  // kBrokenByte for a byte that begins no valid character
  u32 bytes;
};
constexpr u32 kBrokenByte = 0xFFFFFFFF;

/// The character at `at`; a broken byte counts as one character of no class. REQUIRES: at < text.size().
Utf8Character character_at(std::string_view text, std::size_t at);
/// The character that ends before `end`. REQUIRES: 0 < end <= text.size().
Utf8Character character_before(std::string_view text, std::size_t end);

}  // namespace pare
