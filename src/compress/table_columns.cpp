#include "compress/table_columns.h"

#include <algorithm>
#include <cmath>

#include "weights/transpose.h"

namespace pare {

TableColumns::TableColumns(i64 N, i64 K, ColumnGroups groups, Code4 code)
    : groups_(std::move(groups)),
      table_(code4_table(code)),
      codes_(Tensor::empty({K, N}, DType::u8)),
      absmax_(Tensor::zeros({groups_.count, N})) {
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

void TableColumns::decide(const ColumnTile& tile, i64 k, float* q) {
  const auto at = static_cast<std::size_t>(k);
  const i64 N = codes_.dim(1);
  const float* w = tile.column(k);
  float* largest = absmax_.f32() + groups_.group[at] * N + tile.n0;
  u8* codes = codes_.data<u8>() + k * N + tile.n0;
  if (groups_.begins(k)) {
    std::fill_n(largest, tile.rows, 0.0f);
    for (i64 i = k; i < groups_.end[at]; ++i)
      for (i64 r = 0; r < tile.rows; ++r) largest[r] = std::max(largest[r], std::abs(tile.column(i)[r]));
  }
  for (i64 r = 0; r < tile.rows; ++r) {
    const float share = largest[r] > 0 ? w[r] / largest[r] : 0.0f;
    const auto nearest = static_cast<std::size_t>(std::lower_bound(middles_.begin(), middles_.end(), share) -
                                                  middles_.begin());
    codes[r] = sorted_[nearest].second;
    q[r] = table_[codes[r]] * largest[r];
  }
}

Tensor TableColumns::codes() const { return transposed(codes_); }
Tensor TableColumns::absmax() const { return transposed(absmax_); }

}  // namespace pare
