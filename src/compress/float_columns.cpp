#include "compress/float_columns.h"

#include <algorithm>
#include <cmath>

#include "weights/int_grid.h"

namespace pare {

FloatColumns::FloatColumns(i64 N, i64 K, ColumnGroups groups, const FloatGroupOptions& format, float global)
    : groups_(std::move(groups)),
      format_(format),
      global_(global),
      codes_(Tensor::empty({N, K}, DType::u8)),
      scales_(Tensor::zeros({N, groups_.count}, format.scale == BlockScale::real ? DType::f32 : DType::u8)),
      divisors_(Tensor::zeros({N, groups_.count})) {}

float FloatColumns::decide(i64 n, i64 k, const float* row) {
  const auto at = static_cast<std::size_t>(k);
  const i64 block = n * groups_.count + groups_.group[at];
  float& divisor = divisors_.f32()[block];
  if (groups_.begins(k)) {
    float largest = 0;
    for (i64 i = k; i < groups_.end[at]; ++i) largest = std::max(largest, std::abs(row[i]));
    const EncodedScale scale = encode_scale(format_, global_, largest);
    divisor = scale.divisor;
    if (format_.scale == BlockScale::real)
      scales_.f32()[block] = scale.value;
    else
      scales_.data<u8>()[block] = scale.code;
  }
  const u8 code = encode_value(format_, row[k], divisor);
  codes_.data<u8>()[n * codes_.dim(1) + k] = code;
  const float value = format_.element == MiniFloat::e4m3 ? e4m3_value(code) : e2m1_value(code);
  return stored_scale(value * divisor, format_.values);
}

}  // namespace pare
