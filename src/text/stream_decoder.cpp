#include "text/stream_decoder.h"

namespace pare {

std::string StreamDecoder::add(i32 id) {
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  // A character that is not whole yet decodes to U+FFFD at the end: hold it back.
  std::size_t whole = text.size();
  while (whole >= 3 && text.compare(whole - 3, 3, "\xEF\xBF\xBD") == 0) whole -= 3;
  if (whole <= shown_) return "";
  std::string fresh = text.substr(shown_, whole - shown_);
  shown_ = whole;
  if (whole == text.size() && ids_.size() >= forget_at_) forget(text);
  return fresh;
}

/// Keeps only some last ids, or a long answer would take quadratic time. They must decode to the end of the
/// text: then they begin with a whole character, and what a decoder strips in front is stripped before them
/// too.
void StreamDecoder::forget(std::string_view text) {
  constexpr std::ptrdiff_t kKept = 16;
  const std::vector<i32> tail(ids_.end() - kKept, ids_.end());
  const std::string tail_text = tokenizer_.decode(tail, skip_special_);
  if (tail_text.empty() || !text.ends_with(tail_text)) {
    forget_at_ = ids_.size() + ids_.size() / 2;
    return;
  }
  ids_ = tail;
  shown_ = tail_text.size();
  forget_at_ = 64;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_);
  std::string rest = text.size() > shown_ ? text.substr(shown_) : "";
  shown_ = text.size();
  return rest;
}

}  // namespace pare
