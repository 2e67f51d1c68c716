// Token ids → text as they come.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace pare {

/// Text as it comes, token by token: never half a character, and in all the same as decoding at once.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  /// The text that `id` adds; may be empty while a character is incomplete.
  std::string add(i32 id);
  /// What is left at the end.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  void forget(std::string_view text);

  std::vector<i32> ids_;   // the last ones, enough to continue
  std::size_t shown_ = 0;  // bytes of their text given out
  std::size_t forget_at_ = 64;
};

}  // namespace pare
