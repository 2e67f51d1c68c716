#include "weights/int8_row.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "weights/formats.h"
#include "weights/integer_group.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr float kStep = 7.874015718698502e-3f;  // 1/127

}  // namespace

Weight quantize_int8_row(const Tensor& w) {
  const auto [N, K] = dims<2>("quantize_int8_row", w);
  const i64 cols = K;
  expect_finite_weight("int8_row", w);
  Tensor codes = Tensor::empty({N, K}, DType::i8), scb = Tensor::empty({N});
  const float* from = w.f32();
  i8* to = codes.data<i8>();
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) {
      float largest = 0;
      for (i64 k = 0; k < cols; ++k) largest = std::max(largest, std::abs(from[n * cols + k]));
      scb.f32()[n] = largest;
      const float by = largest > 0 ? 127.0f / largest : 0.0f;
      for (i64 k = 0; k < cols; ++k)
        to[n * cols + k] =
            static_cast<i8>(std::clamp(std::nearbyint(from[n * cols + k] * by), -127.0f, 127.0f));
    }
  });
  return Weight(std::make_shared<Int8RowWeight>("int8_row", N, K, codes, scb));
}

Int8RowWeight::Int8RowWeight(const std::string& where, i64 rows, i64 cols, Tensor codes, Tensor scb)
    : codes_(std::move(codes)), scb_(std::move(scb)) {
  expect_stored(where, ".codes", codes_, {rows, cols}, DType::i8);
  expect_stored(where, ".scb", scb_, {rows}, DType::f32);
  expect_finite(where, ".scb", scb_);
  integer_group_ = integer_group(cols, cols, 16);
}

void Int8RowWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    const i8* from = codes_.data<i8>() + n * cols() + k0;
    const float scale = scb_.f32()[n];
    for (i64 k = 0; k < k1 - k0; ++k) dst[k] = static_cast<float>(from[k]) * scale * kStep;
  }
}

IntegerRows::Codes Int8RowWeight::integer_codes(i64 n0, i64, i64 k0, i64, u8*) const {
  return {reinterpret_cast<const u8*>(codes_.data<i8>() + n0 * cols() + k0), cols()};
}

void Int8RowWeight::integer_scales(i64 n0, i64 n1, float* scales, float*) const {
  const i64 groups = cols() / integer_group_;
  for (i64 n = n0; n < n1; ++n, scales += groups) std::fill_n(scales, groups, scb_.f32()[n] * kStep);
}

void Int8RowWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".codes", codes_);
  visit(".scb", scb_);
}

namespace {

Weight read_int8_row(const std::string& where,
                     const json&,
                     i64 rows,
                     i64 cols,
                     const std::function<Tensor(const std::string&)>& tensor) {
  return Weight(std::make_shared<Int8RowWeight>(where, rows, cols, tensor(".codes"), tensor(".scb")));
}

}  // namespace

WeightFormatInfo int8_row_weight_format() {
  return {"int8_row", "8-bit integers with a scale per row", read_int8_row};
}

}  // namespace pare
