// A tokenizer's model: a piece of text → ids, by a vocabulary.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

/// Immutable after construction; safe to use from several threads.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// One more than the largest id.
  virtual i64 size() const = 0;
  /// Number of pieces; less than size() when ids have gaps.
  virtual i64 count() const = 0;
  /// -1 when there is no such piece, spelled as the vocabulary spells it.
  virtual i32 id(std::string_view piece) const = 0;
  /// Empty when there is no such id.
  virtual std::string_view piece(i32 id) const = 0;
  /// Appends the ids of a pre-token.
  virtual void encode(std::string_view text, std::vector<i32>& out) const = 0;
};

}  // namespace pare
