#include "text/bytes.h"

#include <algorithm>
#include <unordered_map>

namespace pare {

std::string utf8(u32 c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

namespace {

std::array<std::string, 256> make_table() {
  std::array<std::string, 256> table;
  u32 next = 256;
  for (u32 b = 0; b < 256; ++b) {
    const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    table[b] = utf8(itself ? b : next++);
  }
  return table;
}

const std::unordered_map<std::string_view, u8>& character_bytes() {
  static const auto map = [] {
    std::unordered_map<std::string_view, u8> m;
    for (std::size_t b = 0; b < 256; ++b) m.emplace(byte_characters()[b], static_cast<u8>(b));
    return m;
  }();
  return map;
}

/// Bytes at the start of `s` that form a valid character, 0 if none; `cut` when it only lacks its end.
std::size_t valid_character(std::string_view s, bool& cut) {
  cut = false;
  const u8 b0 = static_cast<u8>(s[0]);
  if (b0 < 0x80) return 1;
  const std::size_t n = utf8_length(s[0]);
  if (n == 1) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if (i == s.size()) {
      cut = true;
      return 0;
    }
    const u8 b = static_cast<u8>(s[i]);
    u8 low = 0x80, high = 0xBF;
    if (i == 1 && b0 == 0xE0) low = 0xA0;
    if (i == 1 && b0 == 0xED) high = 0x9F;
    if (i == 1 && b0 == 0xF0) low = 0x90;
    if (i == 1 && b0 == 0xF4) high = 0x8F;
    if (b < low || b > high) return 0;
  }
  return n;
}

/// Length of the maximal broken part at the start of `s`.
std::size_t broken_part(std::string_view s) {
  const std::size_t n = utf8_length(s[0]);
  for (std::size_t length = std::min(n, s.size()); length > 1; --length) {
    bool cut = false;
    if (valid_character(s.substr(0, length), cut) == 0 && cut) return length;
  }
  return 1;
}

}  // namespace

std::size_t valid_character_bytes(std::string_view text) {
  bool cut = false;
  return text.empty() ? 0 : valid_character(text, cut);
}

const std::array<std::string, 256>& byte_characters() {
  static const std::array<std::string, 256> table = make_table();
  return table;
}

std::string to_byte_characters(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += byte_characters()[static_cast<u8>(c)];
  return out;
}

std::string from_byte_characters(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character = text.substr(i, utf8_length(text[i]));
    const auto found = character_bytes().find(character);
    if (found == character_bytes().end())
      out += character;
    else
      out += static_cast<char>(found->second);
    i += character.size();
  }
  return out;
}

bool is_byte_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character = text.substr(i, utf8_length(text[i]));
    if (!character_bytes().contains(character)) return false;
    i += character.size();
  }
  return true;
}

std::size_t complete_utf8_prefix(std::string_view bytes) {
  for (std::size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    bool cut = false;
    if (valid_character(bytes.substr(bytes.size() - back), cut) == 0 && cut) return bytes.size() - back;
  }
  return bytes.size();
}

std::size_t first_broken_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    bool cut = false;
    const std::size_t n = valid_character(text.substr(at), cut);
    if (n == 0) return at;
    at += n;
  }
  return text.size();
}

std::string repair_utf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    bool cut = false;
    const std::size_t n = valid_character(bytes, cut);
    if (n > 0) {
      out += bytes.substr(0, n);
      bytes.remove_prefix(n);
    } else {
      out += "\xEF\xBF\xBD";
      bytes.remove_prefix(broken_part(bytes));
    }
  }
  return out;
}

}  // namespace pare
