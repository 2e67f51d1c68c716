#include "text/split_words.h"

#include <array>

#include "text/unicode_classes.h"

namespace pare {
namespace {

struct Char {
  CharClass type;
  u32 bytes;
};

Char next_char(std::string_view text, std::size_t at) {
  static constexpr auto ascii = [] {
    std::array<CharClass, 128> table{};
    for (std::size_t c = 0; c < 128; ++c)
      table[c] = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? CharClass::letter
                 : c >= '0' && c <= '9'                           ? CharClass::number
                 : c == ' ' || (c >= '\t' && c <= '\r')           ? CharClass::space
                                                                  : CharClass::other;
    return table;
  }();
  const u8 lead = static_cast<u8>(text[at]);
  if (lead < 0x80) return {ascii[lead], 1};
  const Utf8Character c = character_at(text, at);
  return {class_of(c.code_point), c.bytes};
}

/// End of the run of characters of one class that begins at `at`.
std::size_t run_end(std::string_view text, std::size_t at, CharClass wanted) {
  while (at < text.size()) {
    const Char c = next_char(text, at);
    if (c.type != wanted) break;
    at += c.bytes;
  }
  return at;
}

bool is_newline(char c) { return c == '\n' || c == '\r'; }

/// Bytes of 's, 't, 're, 've, 'm, 'll or 'd at the start; 0 when there is none.
template <bool ignore_case>
std::size_t contraction(std::string_view text) {
  if (text[0] != '\'' || text.size() < 2) return 0;
  const auto lower = [](char c) {
    return static_cast<char>(ignore_case && c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  };
  const char a = lower(text[1]), b = text.size() > 2 ? lower(text[2]) : '\0';
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  // ſ (U+017F) is an s when case does not count.
  return ignore_case && text.substr(1).starts_with("\u017F") ? 3 : 0;
}

/// \s+(?!\S)|\s+ : the last space before a word is left to it, or stands alone. `end` is the end of the run.
std::size_t spaces(std::string_view text, std::size_t end) {
  if (end == text.size()) return end;
  const std::size_t but_last = end - character_before(text, end).bytes;
  return but_last > 0 ? but_last : end;
}

std::size_t gpt2_word(std::string_view text) {
  if (const std::size_t n = contraction<false>(text)) return n;
  const std::size_t word = text[0] == ' ' ? 1 : 0;
  if (word < text.size()) {
    const CharClass first = next_char(text, word).type;
    if (first != CharClass::space) return run_end(text, word, first);
  }
  return spaces(text, run_end(text, 0, CharClass::space));
}

template <std::size_t digits>
std::size_t qwen2_word(std::string_view text) {
  const Char first = next_char(text, 0);
  if (first.type == CharClass::letter) return run_end(text, first.bytes, CharClass::letter);
  if (first.type == CharClass::number) {
    std::size_t end = first.bytes;
    for (std::size_t n = 1; n < digits && end < text.size(); ++n) {
      const Char c = next_char(text, end);
      if (c.type != CharClass::number) break;
      end += c.bytes;
    }
    return end;
  }
  if (const std::size_t n = contraction<true>(text)) return n;
  const Char second = first.bytes < text.size() ? next_char(text, first.bytes) : Char{CharClass::space, 0};
  if (second.type == CharClass::letter && !is_newline(text[0]))
    return run_end(text, first.bytes + second.bytes, CharClass::letter);
  const bool spaced = text[0] == ' ' && second.type == CharClass::other;
  if (first.type == CharClass::other || spaced) {
    std::size_t end = run_end(text, spaced ? first.bytes : 0, CharClass::other);
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  const std::size_t end = run_end(text, 0, CharClass::space);
  for (std::size_t at = end; at > 0; --at)
    if (is_newline(text[at - 1])) return at;
  return spaces(text, end);
}

template <class First>
void split(std::string_view text, FunctionRef<void(std::string_view)> emit, First first_word) {
  while (!text.empty()) {
    const std::size_t n = first_word(text);
    emit(text.substr(0, n));
    text.remove_prefix(n);
  }
}

#define PARE_CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define PARE_REST " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr std::string_view kGpt2 =
    PARE_CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view kQwen2 =
    "(?i:" PARE_CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" PARE_REST;
constexpr std::string_view kLlama3 =
    "(?i:" PARE_CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" PARE_REST;
#undef PARE_CONTRACTIONS
#undef PARE_REST

}  // namespace

std::string_view pattern_text(WordPattern pattern) {
  switch (pattern) {
    case WordPattern::gpt2:
      return kGpt2;
    case WordPattern::qwen2:
      return kQwen2;
    case WordPattern::llama3:
      break;
  }
  return kLlama3;
}

std::optional<WordPattern> known_pattern(std::string_view regex) {
  for (const WordPattern p : {WordPattern::gpt2, WordPattern::qwen2, WordPattern::llama3})
    if (regex == pattern_text(p)) return p;
  return std::nullopt;
}

void split_words(WordPattern pattern, std::string_view text, FunctionRef<void(std::string_view)> emit) {
  switch (pattern) {
    case WordPattern::gpt2:
      return split(text, emit, gpt2_word);
    case WordPattern::qwen2:
      return split(text, emit, qwen2_word<1>);
    case WordPattern::llama3:
      return split(text, emit, qwen2_word<3>);
  }
}

}  // namespace pare
