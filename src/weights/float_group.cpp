#include "weights/float_group.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "tensor/half.h"
#include "weights/convert.h"
#include "weights/float_group_cpu.h"
#include "weights/formats.h"
#include "weights/integer_group.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr u8 kNanE4m3 = 0x7f;  // and with the sign
constexpr u8 kNanE8m0 = 0xff;

const char* name_of(MiniFloat element) { return element == MiniFloat::e4m3 ? "e4m3" : "e2m1"; }
const char* name_of(BlockScale scale) {
  return scale == BlockScale::real ? "real" : scale == BlockScale::e8m0 ? "e8m0" : "e4m3";
}

i64 blocks_of(i64 count, i64 block) {
  const i64 size = block ? block : std::max<i64>(count, 1);
  return (count + size - 1) / size;
}

void expect_scales(const std::string& where, BlockScale kind, const Tensor& scales, const Shape& shape) {
  if (kind == BlockScale::real) {
    const DType type = scales.dtype();
    expect_stored(
        where, ".scales", scales, shape, type == DType::bf16 || type == DType::f16 ? type : DType::f32);
    return expect_finite(where, ".scales", scales);
  }
  expect_stored(where, ".scales", scales, shape, DType::u8);
  const u8* codes = scales.data<u8>();
  for (i64 i = 0; i < scales.count(); ++i)
    if (kind == BlockScale::e8m0 ? codes[i] == kNanE8m0 : (codes[i] & 0x7f) == kNanE4m3)
      throw user_error("{}.scales: value {} is NaN, expected a finite number", where, i);
}

void expect_global(const std::string& where, BlockScale kind, const Tensor& global) {
  if (kind != BlockScale::e4m3) {
    if (global.defined()) throw user_error("{}.global: only scales of e4m3 have a global scale", where);
    return;
  }
  expect_stored(where, ".global", global, {1}, DType::f32);
  if (const float g = global.f32()[0]; !(g > 0) || !std::isfinite(g))
    throw user_error("{}.global: found {}, expected a finite number above 0", where, g);
}

float minifloat(u8 code, int bits, int mantissa, int bias) {
  const int magnitude = code & ((1 << (bits - 1)) - 1);
  const int exponent = magnitude >> mantissa, fraction = magnitude & ((1 << mantissa) - 1);
  const int whole = exponent ? fraction + (1 << mantissa) : fraction;
  const float value = std::ldexp(static_cast<float>(whole), std::max(exponent, 1) - bias - mantissa);
  return code >> (bits - 1) & 1 ? -value : value;
}

}  // namespace

float e4m3_value(u8 code) {
  if ((code & 0x7f) == kNanE4m3) return std::bit_cast<float>(code & 0x80 ? 0xffc00000u : 0x7fc00000u);
  return minifloat(code, 8, 3, 7);
}
float e2m1_value(u8 code) { return minifloat(code, 4, 1, 1); }
float e8m0_value(u8 code) {
  if (code == kNanE8m0) return std::bit_cast<float>(0x7fc00000u);
  return std::bit_cast<float>(code ? static_cast<u32>(code) << 23 : 0x00400000u);  // 2^-127 is subnormal
}

FloatGroupWeight::FloatGroupWeight(
    const std::string& where, i64 rows, i64 cols, const FloatGroupOptions& options, Parts parts)
    : rows_(rows), cols_(cols), options_(options), parts_(std::move(parts)) {
  if (options.block_rows < 0 || options.block_cols < 0)
    throw user_error(
        "{}: blocks are {} x {}, expected 0 or more", where, options.block_rows, options.block_cols);
  const bool nibbles = options.element == MiniFloat::e2m1;
  if (nibbles && cols % 2) throw user_error("{}: {} columns, expected an even number", where, cols);
  expect_stored(where, ".codes", parts_.codes, {rows, nibbles ? cols / 2 : cols}, DType::u8);
  const Shape blocks{blocks_of(rows, options.block_rows), blocks_of(cols, options.block_cols)};
  expect_scales(where, options.scale, parts_.scales, blocks);
  expect_global(where, options.scale, parts_.global);
  if (nibbles && options.block_rows == 1) integer_group_ = integer_group(block_cols(), cols, 32);
}

std::string FloatGroupWeight::name() const {
  const bool fp8 = options_.element == MiniFloat::e4m3;
  if (options_.scale == BlockScale::e4m3) return fp8 ? "nvfp8" : "nvfp4";
  if (options_.scale == BlockScale::e8m0) return fp8 ? "mxfp8" : "mxfp4";
  const std::string type = fp8 ? "fp8_" : "fp4_";
  if (options_.block_rows == 0)
    return type + (options_.block_cols ? fmt::format("cols{}", options_.block_cols) : "tensor");
  if (options_.block_rows == 1)
    return type + (options_.block_cols ? fmt::format("g{}", options_.block_cols) : "row");
  return fmt::format("{}{}x{}", type, options_.block_rows, block_cols());
}

i64 FloatGroupWeight::bytes() const {
  i64 sum = 0;
  each_tensor([&](const std::string&, const Tensor& t) { sum += t.bytes(); });
  return sum;
}

void FloatGroupWeight::read_scales(i64 first, i64 count, float* to) const {
  const Tensor& scales = parts_.scales;
  if (options_.scale == BlockScale::real) {
    widen(scales, first, count, to);
  } else if (options_.scale == BlockScale::e8m0) {
    for (i64 i = 0; i < count; ++i) to[i] = e8m0_value(scales.data<u8>()[first + i]);
  } else {
    cpu::decode_e4m3(scales.data<u8>() + first, count, to);
    const float global = parts_.global.f32()[0];
    for (i64 i = 0; i < count; ++i) to[i] /= global;
  }
}

void FloatGroupWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  if (k0 >= k1) return;
  const i64 high = block_rows(), wide = block_cols(), row_bytes = parts_.codes.dim(1);
  const i64 first = k0 / wide, count = (k1 - 1) / wide - first + 1;
  thread_local std::vector<float> scales;  // of one row's blocks
  scales.resize(static_cast<std::size_t>(count));
  i64 known = -1;  // the row of blocks whose scales these are
  for (i64 n = n0; n < n1; ++n, dst += stride) {
    if (n / high != known) read_scales(n / high * parts_.scales.dim(1) + first, count, scales.data());
    known = n / high;
    const u8* row = parts_.codes.data<u8>() + n * row_bytes;
    if (options_.element == MiniFloat::e2m1)
      cpu::decode_e2m1(row, k0, k1, dst);
    else
      cpu::decode_e4m3(row + k0, k1 - k0, dst);
    cpu::scale_runs(scales.data(), wide, k0, k1, dst);
    round_to(options_.values, dst, k1 - k0);
  }
}

IntegerForm FloatGroupWeight::integer_form() const {
  // Twice the values of e2m1.
  static constexpr i8 kLevels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  return {.layout = CodeLayout::low_even, .group = integer_group_, .levels = kLevels};
}

IntegerRows::Codes FloatGroupWeight::integer_codes(i64 n0, i64, i64 k0, i64, u8*) const {
  return {parts_.codes.data<u8>() + n0 * (cols_ / 2) + k0 / 2, cols_ / 2};
}

void FloatGroupWeight::integer_scales(i64 n0, i64 n1, float* scales, float*) const {
  const i64 blocks = parts_.scales.dim(1), count = (n1 - n0) * blocks, parts = block_cols() / integer_group_;
  read_scales(n0 * blocks, count, scales);
  for (i64 b = 0; b < count; ++b) scales[b] *= 0.5f;
  repeat_scales(n1 - n0, blocks, cols_ / integer_group_, parts, scales);
}

void FloatGroupWeight::each_tensor(
    const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".codes", parts_.codes);
  visit(".scales", parts_.scales);
  if (parts_.global.defined()) visit(".global", parts_.global);
}

json FloatGroupWeight::options() const {
  return {{"format", "float_group"},
          {"element", name_of(options_.element)},
          {"scale", name_of(options_.scale)},
          {"block_rows", options_.block_rows},
          {"block_cols", options_.block_cols},
          {"values", dtype_name(options_.values)}};
}

namespace {

template <class Choice>
Choice named_option(const std::string& where,
                    const json& options,
                    const char* key,
                    std::initializer_list<Choice> choices) {
  const std::string text = text_option(where, options, key);
  std::vector<std::string> known;
  for (const Choice choice : choices) {
    if (text == name_of(choice)) return choice;
    known.emplace_back(name_of(choice));
  }
  throw user_error("{}: {} is '{}', expected one of {}", where, key, text, fmt::join(known, ", "));
}

Weight read_float_group(const std::string& where,
                        const json& options,
                        i64 rows,
                        i64 cols,
                        const std::function<Tensor(const std::string&)>& tensor) {
  FloatGroupOptions o;
  o.element = named_option(where, options, "element", {MiniFloat::e4m3, MiniFloat::e2m1});
  o.scale = named_option(where, options, "scale", {BlockScale::real, BlockScale::e8m0, BlockScale::e4m3});
  o.block_rows = integer_option(where, options, "block_rows", 0, INT32_MAX);
  o.block_cols = integer_option(where, options, "block_cols", 0, INT32_MAX);
  o.values = float_option(where, options, "values", Absent::refused);
  FloatGroupWeight::Parts parts{tensor(".codes"), tensor(".scales"), {}};
  if (o.scale == BlockScale::e4m3) parts.global = tensor(".global");
  return Weight(std::make_shared<FloatGroupWeight>(where, rows, cols, o, std::move(parts)));
}

}  // namespace

WeightFormatInfo float_group_weight_format() {
  return {"float_group",
          "floats of 8 or 4 bits with a scale per block (fp8, mxfp8, mxfp4, nvfp4)",
          read_float_group};
}

}  // namespace pare
