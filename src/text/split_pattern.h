// Splitting text at a pattern, with the behaviours that tokenizer.json knows.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/regex.h"
#include "text/split_words.h"

namespace pare {

/// A regular expression with \s, \S, \p{L}, \P{L}, \p{N}, \P{N} spelled out, so that PCRE2 takes them as the
/// reference's engine does.
std::string with_reference_classes(std::string_view regex);

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

class SplitPattern {
 public:
  /// `inverted`: what matches the pattern is the text, the rest the delimiter.
  /// Throws a user error when the regular expression is broken.
  SplitPattern(const std::string& pattern, bool regex, SplitBehavior behavior, bool inverted);

  /// Calls `emit` for each piece that is not empty, in order; they point into `text`.
  void split(std::string_view text, FunctionRef<void(std::string_view)> emit) const;

 private:
  struct Part {
    std::size_t begin, end;
    bool delimiter;
  };
  std::vector<Part> parts(std::string_view text) const;

  std::optional<WordPattern> words_;  // a pattern that leaves nothing between its matches
  std::optional<Regex> regex_;
  std::string literal_;
  SplitBehavior behavior_;
  bool inverted_;
};

}  // namespace pare
