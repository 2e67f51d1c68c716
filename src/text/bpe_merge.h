// The merging loop of byte-pair encoding.
#pragma once
#include <vector>

#include "text/piece_table.h"

namespace pare {

/// Merges neighbours in place until no pair of `merges` is left: the lowest rank first, the leftmost on ties.
/// O(n²) steps for a few ids, O(n log n) for many.
void merge_pairs(const PairTable& merges, std::vector<i32>& ids);

}  // namespace pare
