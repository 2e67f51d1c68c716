// The character classes \p{L}, \p{N} and \s as the tokenizers' reference engine knows them (Unicode 16), and
// \w around added tokens.
//
// PCRE2 as installed knows an older Unicode, and counts U+180E as a space.
#pragma once
#include <string>
#include <string_view>

#include "base/types.h"

namespace pare {

enum class CharClass : u8 { other, letter, number, space };
/// other for kBrokenByte.
CharClass class_of(u32 code_point);
inline bool is_letter(u32 code_point) { return class_of(code_point) == CharClass::letter; }
inline bool is_number(u32 code_point) { return class_of(code_point) == CharClass::number; }
inline bool is_unicode_space(u32 code_point) { return class_of(code_point) == CharClass::space; }
/// The same as part of a pattern's character class, for an engine of another Unicode: "\\x{41}-\\x{5A}…".
/// `complement` gives all other characters.
std::string pattern_ranges(CharClass wanted, bool complement);
/// Letters, numbers, marks and connectors such as _.
bool is_word_character(u32 code_point);

struct Utf8Character {
  u32 code_point;  // kBrokenByte for a byte that begins no valid character
  u32 bytes;
};
constexpr u32 kBrokenByte = 0xFFFFFFFF;

/// The character at `at`; a broken byte counts as one character of no class. REQUIRES: at < text.size().
Utf8Character character_at(std::string_view text, std::size_t at);
/// Where the spaces that begin at `at` end, and where those that end at `end` begin.
std::size_t spaces_behind(std::string_view text, std::size_t at);
std::size_t spaces_before(std::string_view text, std::size_t end);
/// The character that ends before `end`. REQUIRES: 0 < end <= text.size().
Utf8Character character_before(std::string_view text, std::size_t end);

}  // namespace pare
