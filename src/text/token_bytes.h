// The bytes of single tokens: what each adds to a text, where decode() shows parts of characters as U+FFFD.
#pragma once
#include <string>

#include "text/tokenizer.h"

namespace pare {

/// Immutable; safe to use from several threads. The
/// tokenizer must outlive it.
class TokenBytes {
 public:
  explicit TokenBytes(const Tokenizer& tokenizer);
  /// What the token adds behind other text; "" for an id that stands for nothing. A special token is its
  /// name.
  std::string of(i32 id) const;

 private:
  const Tokenizer& tokenizer_;
  i32 before_ = 0;  // a token of plain text: what a decoder strips at the beginning is kept behind it
  std::string before_text_;
};

}  // namespace pare
