#include "text/safe_breaks.h"

#include "text/unicode_classes.h"

namespace pare {

u32 SafeBreaks::unit(std::string_view text, std::size_t at, std::size_t& bytes) const {
  const u8 lead = static_cast<u8>(text[at]);
  bytes = 1;
  if (bytes_ || lead < 0x80) return lead;
  const Utf8Character c = character_at(text, at);
  bytes = c.bytes;
  if (c.code_point == 0x2581) return kSpace;
  // Characters from U+0080 move up, out of the way of kSpace.
  return c.code_point == kBrokenByte ? kBrokenByte : c.code_point < 0x100 ? c.code_point : c.code_point + 1;
}

void SafeBreaks::add(std::string_view result) {
  std::size_t bytes = 0;
  for (std::size_t at = 0; at < result.size();) {
    const u32 a = unit(result, at, bytes);
    at += bytes;
    if (at == result.size()) return;
    const u32 b = unit(result, at, bytes);
    if (a < kDirect && b < kDirect)
      direct_[a][b] = true;
    else
      others_.insert(static_cast<u64>(a) << 32 | b);
  }
}

std::size_t SafeBreaks::first(std::string_view text) const {
  if (text.empty()) return 0;
  std::size_t bytes = 0;
  u32 a = unit(text, 0, bytes);
  for (std::size_t at = bytes; at < text.size(); at += bytes) {
    const u32 b = unit(text, at, bytes);
    if (!joined(a, b)) return at;
    a = b;
  }
  return text.size();
}

}  // namespace pare
