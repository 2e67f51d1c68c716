#include "serve/answer_text.h"

#include <algorithm>
#include <utility>

namespace pare {

std::string AnswerText::add(i32 id) {
  const std::string decoded = decoder_.add(id);
  offset_ = decoded_;
  decoded_ += std::count_if(decoded.begin(), decoded.end(), [](char c) { return (c & 0xC0) != 0x80; });
  std::string piece = filter_.add(decoded);
  if (late_) piece = std::exchange(held_, std::move(piece));
  shown_bytes_ += piece.size();
  return piece;
}

std::string AnswerText::finish(const std::string& whole) const {
  return whole.size() > shown_bytes_ ? whole.substr(shown_bytes_) : "";
}

}  // namespace pare
