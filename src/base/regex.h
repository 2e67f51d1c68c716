// Regular expressions with Perl's syntax, over UTF-8 text (PCRE2 inside).
//
// Matching a text that is not UTF-8 is no error: the broken bytes match nothing. `$` matches at the end and
// before a last newline, `.` anything but \n, as in Python's re.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

struct RegexOptions {
  bool ignore_case = false;
  /// \d \w \s \b know all of Unicode (Python's default for text); without it they are ASCII.
  bool unicode_classes = false;
};

struct RegexMatch {
  /// groups[0] is the whole match; a group that took no part is empty with data() == nullptr. Points into the
  /// text.
  std::vector<std::string_view> groups;
  std::size_t begin = 0, end = 0;  // byte offsets of the whole match
};

/// Immutable after construction, so any number of threads may match with one. Cheap to copy.
class Regex {
 public:
  /// Throws a user error with the place in the pattern where it is wrong.
  explicit Regex(std::string_view pattern, const RegexOptions& options = {});

  /// The first match that begins at or after byte `from`.
  /// All three throw a job error when the pattern needs too many steps on this text.
  std::optional<RegexMatch> find(std::string_view text, std::size_t from = 0) const;
  /// Matches from left to right that do not overlap; an empty match may follow a non-empty one (Python's
  /// findall).
  std::vector<RegexMatch> find_all(std::string_view text) const;
  /// Every match replaced by `replacement`, taken literally (Python's sub).
  std::string replace_all(std::string_view text, std::string_view replacement) const;

 private:
  std::optional<RegexMatch> match(std::string_view text, std::size_t from, bool may_be_empty) const;

  std::shared_ptr<const void> code_;  // pcre2_code
  std::string pattern_;
};

}  // namespace pare
