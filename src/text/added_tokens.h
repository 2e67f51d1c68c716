// Added tokens: texts that become one id, whatever the model would make of them.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

/// As tokenizer.json has them.
struct AddedToken {
  i32 id = 0;
  std::string content;
  bool single_word = false;             // no word character may stand beside it
  bool lstrip = false, rstrip = false;  // takes the spaces beside it
  bool normalized = false;              // looked for in the normalised text
  bool special = false;
};

/// Throws a user error naming `where`.
AddedToken read_added_token(const json& j, const std::string& where);

/// A part of the input: text still to encode, or one added token.
struct TextPart {
  std::string_view text;  // into the input
  i32 token = -1;
};

class AddedTokens {
 public:
  void add(AddedToken token);
  bool empty() const { return empty_; }
  /// Appends the parts of `text`, split at the tokens, leftmost and then longest first. As in the reference,
  /// a match that its flags (or `plain_special`: special tokens are plain text) rule out hides shorter ones
  /// inside it.
  void split(std::string_view text, bool plain_special, std::vector<TextPart>& out) const;

 private:
  const AddedToken* match(std::string_view text) const;

  std::array<std::vector<AddedToken>, 256> by_byte_;  // by their first byte, longest first
  bool empty_ = true;
};

}  // namespace pare
