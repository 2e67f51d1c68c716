#include "text/score_ranks.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "text/piece_table.h"
#include "text/unicode_classes.h"

namespace pare {

namespace {

/// A token and the bytes of its left part.
struct Split {
  std::size_t token, left;
};

std::vector<Split> all_splits(const Vocabulary& tokens, const std::vector<bool>& merged) {
  PieceTable ids(tokens.size());
  for (const auto& [text, id] : tokens) ids.add(text, static_cast<i32>(id));
  std::vector<Split> out;
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    const std::string_view whole = tokens[at].first;
    if (whole.empty() || !merged[at]) continue;
    for (std::size_t cut = character_at(whole, 0).bytes; cut < whole.size();
         cut += character_at(whole, cut).bytes) {
      if (ids.find(whole.substr(0, cut)) >= 0 && ids.find(whole.substr(cut)) >= 0) out.push_back({at, cut});
    }
  }
  return out;
}

/// Whether the texts are runs of one character, of 2, 3, 4, … of them.
bool are_runs(std::vector<std::string_view> texts) {
  std::sort(texts.begin(), texts.end(), [](auto a, auto b) { return a.size() < b.size(); });
  const std::size_t n = character_at(texts[0], 0).bytes;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() != (i + 2) * n) return false;
    for (std::size_t at = 0; at < texts[i].size(); at += n)
      if (texts[i].substr(at, n) != texts[0].substr(0, n)) return false;
  }
  return true;
}

i64 count_tied(const Vocabulary& tokens, const std::vector<float>& scores, const std::vector<Split>& splits) {
  std::map<float, std::vector<std::string_view>> by_score;
  for (std::size_t i = 0; i < splits.size(); ++i)
    if (i == 0 || splits[i].token != splits[i - 1].token)
      by_score[scores[splits[i].token]].push_back(tokens[splits[i].token].first);
  i64 tied = 0;
  for (const auto& [score, texts] : by_score)
    if (texts.size() > 1 && !are_runs(texts)) tied += static_cast<i64>(texts.size());
  return tied;
}

}  // namespace

RankedMerges merges_by_rank(const Vocabulary& tokens,
                            const std::vector<float>& scores,
                            const std::vector<bool>& merged) {
  std::vector<Split> splits = all_splits(tokens, merged);
  RankedMerges out;
  out.tied = count_tied(tokens, scores, splits);
  const auto rank = [&](const Split& s) {
    const std::size_t right = tokens[s.token].first.size() - s.left;
    return std::tuple(scores[s.token], s.left, right);
  };
  std::stable_sort(
      splits.begin(), splits.end(), [&](const Split& a, const Split& b) { return rank(a) > rank(b); });
  for (const Split& s : splits) {
    const std::string& whole = tokens[s.token].first;
    out.merges.emplace_back(whole.substr(0, s.left), whole.substr(s.left));
  }
  return out;
}

}  // namespace pare
