// Which columns of a sweep share a scale. Columns are counted in the order of the sweep, groups as they lie
// in the weight.
#pragma once
#include <vector>

#include "tensor/tensor.h"

namespace pare {

struct ColumnGroups {
  std::vector<i64> group;  // of each column
  std::vector<i64> end;    // the first column behind the run of its group
  i64 count = 0;

  /// Consecutive groups of `size` columns (0: all of them), the last one may be short, in the order of
  /// `order`: order[p] is the column that is swept p-th.
  ColumnGroups(const std::vector<i64>& order, i64 size) {
    const auto K = order.size();
    const i64 wide = size <= 0 ? static_cast<i64>(K) : size;
    group.resize(K), end.resize(K);
    for (std::size_t p = 0; p < K; ++p) group[p] = order[p] / wide;
    for (std::size_t p = K; p-- > 0;)
      end[p] = p + 1 < K && group[p + 1] == group[p] ? end[p + 1] : static_cast<i64>(p) + 1;
    count = (static_cast<i64>(K) + wide - 1) / wide;
  }
  bool begins(i64 k) const {
    return k == 0 || group[static_cast<std::size_t>(k)] != group[static_cast<std::size_t>(k - 1)];
  }
};

}  // namespace pare
