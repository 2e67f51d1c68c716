#include "compress/float_columns.h"

#include <algorithm>
#include <cmath>

#include "weights/int_grid.h"
#include "weights/transpose.h"

namespace pare {

FloatColumns::FloatColumns(i64 N, i64 K, ColumnGroups groups, const FloatGroupOptions& format, float global)
    : groups_(std::move(groups)),
      format_(format),
      global_(global),
      codes_(Tensor::empty({K, N}, DType::u8)),
      scales_(Tensor::zeros({groups_.count, N}, format.scale == BlockScale::real ? DType::f32 : DType::u8)),
      divisors_(Tensor::zeros({groups_.count, N})) {}

void FloatColumns::choose_scales(const ColumnTile& tile, i64 k) {
  const i64 g = groups_.group[static_cast<std::size_t>(k)], N = codes_.dim(1);
  for (i64 r = 0; r < tile.rows; ++r) {
    float largest = 0;
    for (i64 i = k; i < group_end(k); ++i) largest = std::max(largest, std::abs(tile.column(i)[r]));
    const EncodedScale scale = encode_scale(format_, global_, largest);
    const i64 at = g * N + tile.n0 + r;
    divisors_.f32()[at] = scale.divisor;
    if (format_.scale == BlockScale::real)
      scales_.f32()[at] = scale.value;
    else
      scales_.data<u8>()[at] = scale.code;
  }
}

void FloatColumns::decide(const ColumnTile& tile, i64 k, float* q) {
  if (groups_.begins(k)) choose_scales(tile, k);
  const i64 N = codes_.dim(1);
  const float* w = tile.column(k);
  const float* divisors = divisors_.f32() + groups_.group[static_cast<std::size_t>(k)] * N + tile.n0;
  u8* codes = codes_.data<u8>() + k * N + tile.n0;
  for (i64 r = 0; r < tile.rows; ++r) {
    codes[r] = encode_value(format_, w[r], divisors[r]);
    const float value = format_.element == MiniFloat::e4m3 ? e4m3_value(codes[r]) : e2m1_value(codes[r]);
    q[r] = stored_scale(value * divisors[r], format_.values);
  }
}

Tensor FloatColumns::codes() const { return transposed(codes_); }
Tensor FloatColumns::scales() const { return transposed(scales_); }

}  // namespace pare
