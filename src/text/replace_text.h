// Plain replacement of one text by another.
#pragma once
#include <string>
#include <string_view>

namespace pare {

/// Every `from` in `text`, left to right, becomes `to`; an empty `from` changes nothing.
inline std::string replace_text(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  if (from.empty()) return out.assign(text);
  out.reserve(text.size());
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(from, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos) return out;
    out += to;
    at = found + from.size();
  }
}

}  // namespace pare
