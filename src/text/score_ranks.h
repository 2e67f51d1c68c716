// Merges by score, as SentencePiece has them, as merges by rank, for files that know no scores.
// Source: transformers, SentencePieceExtractor.
//
// Both ways the best pair of a text is merged first, and of equal ones the leftmost. By score the splits of
// one token are equal, and so are tokens of one score; ranks are never equal. Equals are ordered by the
// longest left part, then the longest right part:
//   - of one token the order makes no difference that could be found (tests/text/score_ranks_test.cpp);
//   - a run of one character whose tokens have one score (the spaces of Llama 2) grows from its left end
//     either way;
//   - other tokens of one score are counted.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "text/bpe.h"

namespace pare {

struct RankedMerges {
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  /// Tokens that share their score with others and are no runs of one character: where such tokens compete
  /// for a text, ranks may choose another one than scores do.
  i64 tied = 0;
};

/// The merges of Bpe::add_merges_by_score(). Token i has id i; scores[id] and merged[id] as there.
RankedMerges merges_by_rank(const Vocabulary& tokens,
                            const std::vector<float>& scores,
                            const std::vector<bool>& merged);

}  // namespace pare
