#include "weights/low_rank.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "weights/formats.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kLargestRank = i64{1} << 20;

void expect_factor(const std::string& where, const char* suffix, const Tensor& t, const Shape& shape) {
  if (!t.defined()) throw user_error("{}{} is missing", where, suffix);
  const DType type = t.dtype();
  if (t.shape() != shape || (type != DType::f32 && type != DType::bf16 && type != DType::f16))
    throw user_error("{}{}: found {} {}, expected f32, bf16 or f16 {}",
                     where,
                     suffix,
                     dtype_name(type),
                     t.shape().text(),
                     shape.text());
  expect_finite(where, suffix, t);
}

}  // namespace

Weight low_rank_weight(
    const Weight& base, const Tensor& a, const Tensor& b, double scale, const Tensor& row_scale) {
  return Weight(
      std::make_shared<LowRankWeight>("low_rank", LowRankWeight::Parts{base, a, b, scale, row_scale}));
}

const LowRankWeight* low_rank_of(const Weight& w) { return dynamic_cast<const LowRankWeight*>(&w.format()); }

LowRankWeight::LowRankWeight(const std::string& where, Parts parts) : parts_(std::move(parts)) {
  const i64 R = parts_.a.defined() && parts_.a.shape().rank() == 2 ? parts_.a.dim(0) : 1;
  if (R < 1) throw user_error("{}.lora_A: its rank is {}, expected at least 1", where, R);
  expect_factor(where, ".lora_A", parts_.a, {R, cols()});
  expect_factor(where, ".lora_B", parts_.b, {rows(), R});
  if (!std::isfinite(static_cast<float>(parts_.scale)))
    throw user_error("{}: scale is {}, expected a finite number", where, parts_.scale);
  if (parts_.row_scale.defined()) {
    expect_stored(where, ".row_scale", parts_.row_scale, {rows()}, DType::f32);
    expect_finite(where, ".row_scale", parts_.row_scale);
  }
  a_ = Weight(parts_.a), b_ = Weight(parts_.b);
}

std::string LowRankWeight::name() const {
  return fmt::format(
      "{}+r{}{}", parts_.base.format().name(), rank(), parts_.row_scale.defined() ? "_rows" : "");
}

i64 LowRankWeight::bytes() const {
  return parts_.base.bytes() + parts_.a.bytes() + parts_.b.bytes() +
         (parts_.row_scale.defined() ? parts_.row_scale.bytes() : 0);
}

void LowRankWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  const i64 R = rank(), width = k1 - k0;
  if (n1 <= n0 || width <= 0) return;
  parts_.base.format().decode(n0, n1, k0, k1, dst, stride);
  std::vector<float> a(static_cast<std::size_t>(R * width)), b(static_cast<std::size_t>(R)),
      low(static_cast<std::size_t>(width));
  a_.format().decode(0, R, k0, k1, a.data(), width);
  const auto scale = static_cast<float>(parts_.scale);
  for (i64 n = n0; n < n1; ++n) {
    b_.format().decode(n, n + 1, 0, R, b.data(), R);
    std::fill(low.begin(), low.end(), 0.0f);
    for (i64 r = 0; r < R; ++r) {
      const float* row = a.data() + r * width;
      const float factor = b[static_cast<std::size_t>(r)];
      for (i64 k = 0; k < width; ++k) low[static_cast<std::size_t>(k)] += factor * row[k];
    }
    float* out = dst + (n - n0) * stride;
    const float c = parts_.row_scale.defined() ? parts_.row_scale.f32()[n] : 1;
    for (i64 k = 0; k < width; ++k) out[k] = c * (out[k] + scale * low[static_cast<std::size_t>(k)]);
  }
}

void LowRankWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  parts_.base.format().each_tensor(
      [&](const std::string& suffix, const Tensor& t) { visit(".base" + suffix, t); });
  visit(".lora_A", parts_.a);
  visit(".lora_B", parts_.b);
  if (parts_.row_scale.defined()) visit(".row_scale", parts_.row_scale);
}

json LowRankWeight::options() const {
  return {{"format", "low_rank"},
          {"rank", rank()},
          {"scale", parts_.scale},
          {"row_scale", parts_.row_scale.defined()},
          {"base", parts_.base.format().options()}};
}

namespace {

Weight read_low_rank(const std::string& where,
                     const json& options,
                     i64 rows,
                     i64 cols,
                     const std::function<Tensor(const std::string&)>& tensor) {
  const i64 R = integer_option(where, options, "rank", 1, kLargestRank);
  if (!options.contains("scale") || !options["scale"].is_number())
    throw user_error("{}: option \"scale\" is missing or no number", where);
  if (!options.contains("base")) throw user_error("{}: option \"base\" is missing", where);
  LowRankWeight::Parts parts;
  parts.base =
      weight_from_tensors(where + ".base", options["base"], rows, cols, [&](const std::string& suffix) {
        return tensor(".base" + suffix);
      });
  parts.a = tensor(".lora_A"), parts.b = tensor(".lora_B");
  parts.scale = options["scale"].get<double>();
  if (flag_option(where, options, "row_scale")) {
    parts.row_scale = tensor(".row_scale");
    if (!parts.row_scale.defined()) throw user_error("{}.row_scale is missing", where);
  }
  auto format = std::make_shared<LowRankWeight>(where, std::move(parts));
  if (format->rank() != R)
    throw user_error("{}.lora_A: its rank is {}, expected {} from the options", where, format->rank(), R);
  return Weight(std::move(format));
}

}  // namespace

WeightFormatInfo low_rank_weight_format() {
  return {"low_rank", "a weight of any format with a part of low rank beside it", read_low_rank};
}

}  // namespace pare
