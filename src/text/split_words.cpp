#include "text/split_gpt2.h"

#include "text/unicode_classes.h"

namespace pare {
namespace {

enum class Class { letter, number, space, other };

Class class_of(u32 c) {
  if (is_letter(c)) return Class::letter;
  if (is_number(c)) return Class::number;
  return is_unicode_space(c) ? Class::space : Class::other;
}

std::size_t contraction(std::string_view text) {
  if (text[0] != '\'') return 0;
  for (const std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    if (text.substr(1).starts_with(ending)) return 1 + ending.size();
  }
  return 0;
}

/// End of the run of characters of one class that begins at `at`.
std::size_t run_end(std::string_view text, std::size_t at, Class wanted) {
  while (at < text.size()) {
    const Utf8Character c = character_at(text, at);
    if (class_of(c.code_point) != wanted) break;
    at += c.bytes;
  }
  return at;
}

std::size_t piece_bytes(std::string_view text) {
  if (const std::size_t n = contraction(text)) return n;
  const std::size_t word = text[0] == ' ' ? 1 : 0;
  if (word < text.size()) {
    const Class first = class_of(character_at(text, word).code_point);
    if (first != Class::space) return run_end(text, word, first);
  }
  // Spaces: the last one before a word is left to it, or stands alone.
  const std::size_t end = run_end(text, 0, Class::space);
  if (end == text.size()) return end;
  const std::size_t but_last = end - character_before(text, end).bytes;
  return but_last > 0 ? but_last : end;
}

}  // namespace

void split_gpt2(std::string_view text, std::vector<std::string_view>& pieces) {
  while (!text.empty()) {
    const std::size_t n = piece_bytes(text);
    pieces.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
}

}  // namespace pare
