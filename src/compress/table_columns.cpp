#include "compress/table_columns.h"

#include <algorithm>
#include <cmath>

namespace pare {

TableColumns::TableColumns(i64 N, i64 K, ColumnGroups groups, Code4 code)
    : groups_(std::move(groups)),
      table_(code4_table(code)),
      codes_(Tensor::empty({N, K}, DType::u8)),
      absmax_(Tensor::zeros({N, groups_.count})) {
  for (u8 c = 0; c < 16; ++c) sorted_.emplace_back(table_[c], c);
  std::stable_sort(
      sorted_.begin(), sorted_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  sorted_.erase(
      std::unique(
          sorted_.begin(), sorted_.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
      sorted_.end());
  for (std::size_t i = 0; i + 1 < sorted_.size(); ++i)
    middles_.push_back(0.5f * (sorted_[i].first + sorted_[i + 1].first));
}

float TableColumns::decide(i64 n, i64 k, const float* row) {
  const auto at = static_cast<std::size_t>(k);
  float& largest = absmax_.f32()[n * groups_.count + groups_.group[at]];
  if (groups_.begins(k)) {
    largest = 0;
    for (i64 i = k; i < groups_.end[at]; ++i) largest = std::max(largest, std::abs(row[i]));
  }
  const float w = largest > 0 ? row[k] / largest : 0.0f;
  const auto nearest =
      static_cast<std::size_t>(std::lower_bound(middles_.begin(), middles_.end(), w) - middles_.begin());
  const u8 code = sorted_[nearest].second;
  codes_.data<u8>()[n * codes_.dim(1) + k] = code;
  return table_[code] * largest;
}

}  // namespace pare
