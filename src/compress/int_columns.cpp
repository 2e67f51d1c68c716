#include "compress/int_columns.h"

#include <algorithm>

#include "base/threads.h"
#include "ops/gemm_cpu.h"
#include "weights/transpose.h"

namespace pare {

IntColumns::IntColumns(i64 N, ColumnGroups groups, const Tensor& importance, FitGrid fit)
    : groups_(std::move(groups)),
      importance_(importance),
      fit_(std::move(fit)),
      scale_(Tensor::empty({groups_.count, N})),
      low_(Tensor::empty({groups_.count, N})),
      high_(Tensor::empty({groups_.count, N})),
      codes_(Tensor::empty({importance.dim(0), N}, DType::u8)) {}

void IntColumns::put(i64 n, i64 g, const IntGrid& grid) {
  const i64 at = g * scale_.dim(1) + n;
  scale_.f32()[at] = grid.scale;
  low_.f32()[at] = static_cast<float>(-grid.zero);
  high_.f32()[at] = static_cast<float>(grid.top - grid.zero);
}

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
        put(n, g, fit_(weights, importance));
      }
  });
  fitted_ = true;
}

/// The grids of the group that begins at column k.
void IntColumns::fit_tile(const ColumnTile& tile, i64 k) {
  const i64 g = groups_.group[static_cast<std::size_t>(k)], columns = group_end(k) - k;
  const auto width = static_cast<std::size_t>(columns);
  std::vector<float> rows(static_cast<std::size_t>(tile.rows) * width);
  cpu::gemm_kernels().transpose(tile.column(k), kTileRows, columns, tile.rows, rows.data(), columns);
  for (i64 r = 0; r < tile.rows; ++r)
    put(tile.n0 + r, g, fit_({rows.data() + r * columns, width}, {importance_.f32() + k, width}));
}

void IntColumns::decide(const ColumnTile& tile, i64 k, float* q) {
  if (fits_at(k)) fit_tile(tile, k);
  const i64 N = codes_.dim(1), at = groups_.group[static_cast<std::size_t>(k)] * N + tile.n0;
  round_(tile.rows,
         tile.column(k),
         {scale_.f32() + at, low_.f32() + at, high_.f32() + at},
         q,
         codes_.data<u8>() + k * N + tile.n0);
}

Tensor IntColumns::codes() const { return transposed(codes_); }

Tensor IntColumns::scales() const { return transposed(scale_); }

Tensor IntColumns::zeros() const {
  Tensor out = Tensor::empty(low_.shape(), DType::u8);
  for (i64 i = 0; i < out.count(); ++i) out.data<u8>()[i] = static_cast<u8>(-low_.f32()[i]);
  return transposed(out);
}

bool IntColumns::fit_f16() const {
  return std::all_of(scale_.f32(), scale_.f32() + scale_.count(), [](float s) {
    return fits_f16(IntGrid{s, 0, 0});
  });
}

}  // namespace pare
