#include "infer/stop_strings.h"

#include <algorithm>

namespace pare {
namespace {

/// Bytes at the end of `text` that a stop string may begin with.
std::size_t possible_start(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t most = 0;
  for (const std::string& stop : stops)
    for (std::size_t n = std::min(text.size(), stop.empty() ? 0 : stop.size() - 1); n > most; --n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) most = n;
  return most;
}

}  // namespace

std::size_t first_stop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops)
    if (!stop.empty()) first = std::min(first, text.find(stop));
  return first;
}

std::string StopFilter::add(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  std::size_t shown = first_stop(held_, stops_);
  stopped_ = shown != std::string::npos;
  if (!stopped_) shown = held_.size() - possible_start(held_, stops_);
  std::string out = held_.substr(0, shown);
  held_.erase(0, shown);
  return out;
}

std::string StopFilter::finish() {
  std::string out = stopped_ ? "" : std::move(held_);
  held_.clear();
  return out;
}

}  // namespace pare
