#include "text/split_pattern.h"

#include <algorithm>

#include "text/unicode_classes.h"

namespace pare {
namespace {

/// The class that \x at the start of `escape` names, and whether its complement; bytes is the escape's
/// length.
struct ClassEscape {
  CharClass type;
  bool complement;
  std::size_t bytes;
};

std::optional<ClassEscape> class_escape(std::string_view escape) {
  for (const auto& [spelled, type] : {std::pair("\\s", CharClass::space),
                                      std::pair("\\p{L}", CharClass::letter),
                                      std::pair("\\p{N}", CharClass::number)}) {
    const std::string_view s = spelled;
    if (escape.starts_with(s)) return ClassEscape{type, false, s.size()};
    std::string complement(s);
    complement[1] = complement[1] == 's' ? 'S' : 'P';
    if (escape.starts_with(complement)) return ClassEscape{type, true, s.size()};
  }
  return std::nullopt;
}

}  // namespace

std::string with_reference_classes(std::string_view regex) {
  std::string out;
  bool inside = false;  // a [class]
  for (std::size_t at = 0; at < regex.size();) {
    if (regex[at] == '\\' && at + 1 < regex.size()) {
      if (const auto found = class_escape(regex.substr(at))) {
        const std::string ranges = pattern_ranges(found->type, inside && found->complement);
        out += inside ? ranges : (found->complement ? "[^" : "[") + ranges + "]";
        at += found->bytes;
      } else {
        out += regex.substr(at, 2);
        at += 2;
      }
      continue;
    }
    if (inside) {
      inside = regex[at] != ']';
    } else if (regex[at] == '[') {
      inside = true;
      // A ] right behind [ or [^ stands for itself.
      const std::size_t first = at + (regex.substr(at + 1).starts_with('^') ? 2 : 1);
      if (first < regex.size() && regex[first] == ']') {
        out += regex.substr(at, first + 1 - at);
        at = first + 1;
        continue;
      }
    }
    out += regex[at++];
  }
  return out;
}

SplitPattern::SplitPattern(const std::string& pattern, bool regex, SplitBehavior behavior, bool inverted)
    : behavior_(behavior), inverted_(inverted) {
  if (!regex) {
    literal_ = pattern;
    return;
  }
  // All of the text is in matches: kept apart they are the pieces, whichever side is the delimiter.
  if (behavior == SplitBehavior::isolated || (behavior == SplitBehavior::removed && inverted))
    words_ = known_pattern(pattern);
  if (!words_) regex_.emplace(with_reference_classes(pattern), RegexOptions{.unicode_classes = true});
}

std::vector<SplitPattern::Part> SplitPattern::parts(std::string_view text) const {
  std::vector<Part> out;
  std::size_t at = 0;
  const auto match = [&](std::size_t begin, std::size_t end) {
    if (begin > at) out.push_back({at, begin, inverted_});
    out.push_back({begin, end, !inverted_});
    at = end;
  };
  if (regex_) {
    for (const RegexMatch& m : regex_->find_all(text)) match(m.begin, m.end);
  } else if (!literal_.empty()) {
    for (std::size_t found = text.find(literal_); found != std::string_view::npos;
         found = text.find(literal_, at))
      match(found, found + literal_.size());
  }
  if (at < text.size()) out.push_back({at, text.size(), inverted_});
  return out;
}

void SplitPattern::split(std::string_view text, FunctionRef<void(std::string_view)> emit) const {
  if (words_) return split_words(*words_, text, emit);
  std::vector<Part> all = parts(text);
  if (behavior_ == SplitBehavior::removed) std::erase_if(all, [](const Part& p) { return p.delimiter; });
  // A part joins the piece before it; joining the next one is the same from the other end.
  const bool backwards = behavior_ == SplitBehavior::merged_with_next;
  if (backwards) std::reverse(all.begin(), all.end());
  std::vector<Part> pieces;
  bool previous = false;
  for (const Part& p : all) {
    const bool joins = behavior_ == SplitBehavior::contiguous ? p.delimiter == previous
                       : behavior_ == SplitBehavior::merged_with_previous || backwards
                           ? p.delimiter && !previous
                           : false;
    if (joins && !pieces.empty()) {
      pieces.back().begin = std::min(pieces.back().begin, p.begin);
      pieces.back().end = std::max(pieces.back().end, p.end);
    } else {
      pieces.push_back(p);
    }
    previous = p.delimiter;
  }
  if (backwards) std::reverse(pieces.begin(), pieces.end());
  for (const Part& p : pieces)
    if (p.end > p.begin) emit(text.substr(p.begin, p.end - p.begin));
}

}  // namespace pare
