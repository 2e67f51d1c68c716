#include "compress/int_columns.h"

#include "base/threads.h"

namespace pare {

IntColumns::IntColumns(i64 N, ColumnGroups groups, const Tensor& importance, FitGrid fit)
    : groups_(std::move(groups)),
      importance_(importance),
      fit_(std::move(fit)),
      grids_(static_cast<std::size_t>(N * groups_.count)),
      codes_(Tensor::empty({N, importance.dim(0)}, DType::u8)) {}

void IntColumns::fit_all(const Tensor& w) {
  const i64 K = w.dim(1);
  std::vector<std::vector<i64>> members(static_cast<std::size_t>(groups_.count));
  for (i64 k = 0; k < K; ++k)
    members[static_cast<std::size_t>(groups_.group[static_cast<std::size_t>(k)])].push_back(k);
  parallel_rows(w.dim(0), 4, [&](i64 begin, i64 end) {
    std::vector<float> weights, importance;
    for (i64 n = begin; n < end; ++n)
      for (i64 g = 0; g < groups_.count; ++g) {
        weights.clear(), importance.clear();
        for (const i64 k : members[static_cast<std::size_t>(g)]) {
          weights.push_back(w.f32()[n * K + k]);
          importance.push_back(importance_.f32()[k]);
        }
        grids_[static_cast<std::size_t>(n * groups_.count + g)] = fit_(weights, importance);
      }
  });
  fitted_ = true;
}

float IntColumns::decide(i64 n, i64 k, const float* row) {
  const auto at = static_cast<std::size_t>(k);
  IntGrid& grid = grids_[static_cast<std::size_t>(n * groups_.count + groups_.group[at])];
  if (!fitted_ && groups_.begins(k)) {
    const auto width = static_cast<std::size_t>(groups_.end[at] - k);
    grid = fit_({row + k, width}, {importance_.f32() + k, width});
  }
  const int code = grid.code(row[k]);
  codes_.data<u8>()[n * codes_.dim(1) + k] = static_cast<u8>(code);
  return grid.value(code);
}

Tensor IntColumns::scales() const {
  Tensor out = Tensor::empty({codes_.dim(0), groups_.count});
  for (std::size_t i = 0; i < grids_.size(); ++i) out.f32()[i] = grids_[i].scale;
  return out;
}

Tensor IntColumns::zeros() const {
  Tensor out = Tensor::empty({codes_.dim(0), groups_.count}, DType::u8);
  for (std::size_t i = 0; i < grids_.size(); ++i) out.data<u8>()[i] = static_cast<u8>(grids_[i].zero);
  return out;
}

bool IntColumns::fit_f16() const {
  return std::all_of(grids_.begin(), grids_.end(), [](const IntGrid& g) { return fits_f16(g); });
}

}  // namespace pare
