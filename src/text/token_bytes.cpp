#include "text/token_bytes.h"

#include <charconv>
#include <optional>

#include "text/bytes.h"

namespace pare {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

/// SentencePiece's spelling of a byte: <0x0A>.
std::optional<char> fallback_byte(const std::string& spelled) {
  if (spelled.size() != 6 || !spelled.starts_with("<0x") || spelled[5] != '>') return {};
  unsigned value = 0;
  const char* digits = spelled.data() + 3;
  const auto read = std::from_chars(digits, digits + 2, value, 16);
  if (read.ec != std::errc() || read.ptr != digits + 2) return {};
  return static_cast<char>(value);
}

}  // namespace

TokenBytes::TokenBytes(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  for (const char* plain : {"a", "e", "\u2581a", "0", "."}) {
    const auto id = tokenizer.id_of(plain);
    if (!id || tokenizer.is_special(*id)) continue;
    before_ = *id;
    break;
  }
  before_text_ = tokenizer.decode({&before_, 1});
}

std::string TokenBytes::of(i32 id) const {
  const std::string spelled = tokenizer_.token_text(id);
  if (spelled.empty()) return "";
  if (const auto byte = fallback_byte(spelled)) return {*byte};
  const i32 both[] = {before_, id};
  const std::string text = tokenizer_.decode(both);
  std::string added =
      text.starts_with(before_text_) ? text.substr(before_text_.size()) : tokenizer_.decode({&id, 1});
  // Part of a character: the byte-level spelling has its bytes.
  if (added.find(kReplacement) != std::string::npos && spelled.find(kReplacement) == std::string::npos)
    added = from_byte_characters(spelled);
  return added;
}

}  // namespace pare
