// Stop strings in a text that comes in pieces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pare {

/// Position of the first of `stops` in `text`, or npos. Empty stops never match.
std::size_t first_stop(std::string_view text, const std::vector<std::string>& stops);

/// Gives out a text as it comes, but never what a stop string may still begin with.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  /// What may be shown after `piece` came; nothing any more once a stop string was found.
  std::string add(std::string_view piece);
  /// What was held back, when the text ends without a stop string.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace pare
