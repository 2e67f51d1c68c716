#include "text/mixture.h"

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/regex.h"

namespace pare {
namespace {

MixturePart part_of(std::string_view text, const std::string& whole) {
  static const Regex form(R"(^\s*(\S.*?)(?:\s+\*\s+(\S+))?\s*$)");
  const std::optional<RegexMatch> found = form.find(text);
  if (!found) throw user_error("data \"{}\": nothing stands before or behind a \" + \"", whole);
  MixturePart part{std::string(found->groups[1]), 1};
  const std::string_view number = found->groups[2];
  if (number.data()) {
    const auto [end, error] = std::from_chars(number.begin(), number.end(), part.share);
    if (error != std::errc() || end != number.end() || !(part.share > 0) || !std::isfinite(part.share))
      throw user_error("data \"{}\": \"{}\" behind \" * \", expected a number above 0", whole, number);
  }
  return part;
}

}  // namespace

std::vector<MixturePart> mixture_parts(const std::string& text) {
  constexpr std::string_view kPlus = " + ";
  if (text.find(kPlus) == text.npos) return {{text, 1}};
  std::vector<MixturePart> parts;
  double sum = 0;
  for (std::size_t begin = 0; begin != text.npos;) {
    const std::size_t end = text.find(kPlus, begin);
    parts.push_back(part_of(std::string_view(text).substr(begin, end - begin), text));
    sum += parts.back().share;
    begin = end == text.npos ? end : end + kPlus.size();
  }
  for (MixturePart& part : parts) part.share /= sum;
  return parts;
}

}  // namespace pare
