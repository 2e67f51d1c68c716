#include "infer/prompt_lookup.h"

#include <algorithm>
#include <utility>

namespace pare {
namespace {

/// FNV-1a over whole ids; whoever uses a place compares the tokens there.
u64 hash(std::span<const i32> run) {
  u64 h = 14695981039346656037u;
  for (const i32 id : run) h = (h ^ static_cast<u32>(id)) * 1099511628211u;
  return h;
}

}  // namespace

/// `tokens` end with the one that is new.
void PromptLookup::add(std::span<const i32> tokens) {
  std::size_t n = kLongest;
  for (Run& run : runs_) {
    run.earlier = -1;
    if (tokens.size() >= n) {
      const i64 here = static_cast<i64>(tokens.size());
      const auto [place, is_new] = run.behind.try_emplace(hash(tokens.last(n)), here);
      if (!is_new) run.earlier = std::exchange(place->second, here);
    }
    --n;
  }
}

std::vector<i32> PromptLookup::draft(std::span<const i32> tokens, i64 most) {
  while (seen_ < static_cast<i64>(tokens.size())) add(tokens.first(static_cast<std::size_t>(++seen_)));
  std::size_t n = kLongest + 1;
  for (const Run& run : runs_) {
    --n;
    if (run.earlier < 0) continue;
    const auto from = static_cast<std::size_t>(run.earlier);
    const auto last = tokens.last(n);
    if (!std::equal(last.begin(), last.end(), tokens.begin() + static_cast<std::ptrdiff_t>(from - n)))
      continue;
    matched_ = static_cast<i64>(n);
    std::vector<i32> out;
    for (std::size_t i = from; static_cast<i64>(out.size()) < most; ++i)
      out.push_back(i < tokens.size() ? tokens[i] : out[i - tokens.size()]);
    return out;
  }
  return {};
}

}  // namespace pare
