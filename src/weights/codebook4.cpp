#include "weights/codebook4.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "weights/blockwise8.h"
#include "weights/cascade_mean.h"
#include "weights/codebook4_cpu.h"
#include "weights/convert.h"
#include "weights/formats.h"
#include "weights/integer_group.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kNestedBlock = 256;
constexpr float kTiny = 1e-38f;  // smaller blocks are scaled by this

// Quantiles of the normal distribution with an exact zero, scaled to [−1, 1], as printed by bitsandbytes.
constexpr std::array<float, 16> kNf4 = {-1.0f,
                                        -0.6961928009986877f,
                                        -0.5250730514526367f,
                                        -0.39491748809814453f,
                                        -0.28444138169288635f,
                                        -0.18477343022823334f,
                                        -0.09105003625154495f,
                                        0.0f,
                                        0.07958029955625534f,
                                        0.16093020141124725f,
                                        0.24611230194568634f,
                                        0.33791524171829224f,
                                        0.44070982933044434f,
                                        0.5626170039176941f,
                                        0.7229568362236023f,
                                        1.0f};
// Bit 3 is the sign; magnitudes are {0, 1/16, 8, 12, 4, 6, 2, 3}/12.
constexpr std::array<float, 16> kFp4 = {0.0f,
                                        0.0625f / 12,
                                        8.0f / 12,
                                        1.0f,
                                        4.0f / 12,
                                        0.5f,
                                        2.0f / 12,
                                        0.25f,
                                        0.0f,
                                        -0.0625f / 12,
                                        -8.0f / 12,
                                        -1.0f,
                                        -4.0f / 12,
                                        -0.5f,
                                        -2.0f / 12,
                                        -0.25f};

/// Thresholds between neighbouring values, ascending, and the code of each interval.
struct Encoder {
  std::array<float, 15> bounds;
  std::array<u8, 16> codes;

  u8 operator()(float s) const {
    std::size_t below = 0;
    for (const float bound : bounds) below += bound < s;
    return codes[below];
  }
};

Encoder encoder(Code4 code) {
  Encoder e{};
  if (code == Code4::nf4)
    e.codes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  else
    e.codes = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};
  const auto& table = code4_table(code);
  for (std::size_t i = 0; i < 15; ++i) e.bounds[i] = (table[e.codes[i]] + table[e.codes[i + 1]]) / 2;
  return e;
}

/// Steps of the integer levels from 0 to 1.
float integer_steps(Code4 code) { return code == Code4::nf4 ? 127.0f : 120.0f; }

/// The table as integers, for products that round activations as well.
const std::array<i8, 16>& integer_levels(Code4 code) {
  const auto rounded = [](Code4 c) {
    std::array<i8, 16> levels{};
    for (std::size_t i = 0; i < 16; ++i)
      levels[i] = static_cast<i8>(std::nearbyint(code4_table(c)[i] * integer_steps(c)));
    return levels;
  };
  static const std::array<i8, 16> nf4 = rounded(Code4::nf4), fp4 = rounded(Code4::fp4);
  return code == Code4::nf4 ? nf4 : fp4;
}

i64 blocks_of(i64 count, i64 block) { return (count + block - 1) / block; }

void check_block(const std::string& where, i64 block) {
  if (block < 32 || block > 4096 || (block & (block - 1)) != 0)
    throw user_error("{}: block is {}, expected a power of two from 32 to 4096", where, block);
}

}  // namespace

const std::array<float, 16>& code4_table(Code4 code) { return code == Code4::nf4 ? kNf4 : kFp4; }

Weight quantize_codebook4(const Tensor& w, const Codebook4Options& options) {
  const auto [N, K] = dims<2>("quantize_codebook4", w);
  check_block("codebook4", options.block);
  expect_finite_weight("codebook4", w);
  const i64 count = N * K, block = options.block, B = blocks_of(count, block);
  const float* from = w.f32();
  const Encoder encode = encoder(options.code);
  Codebook4Weight::Parts parts;
  parts.codes = Tensor::zeros({(count + 1) / 2}, DType::u8);
  parts.absmax = Tensor::empty({B});
  u8* codes = parts.codes.data<u8>();
  float* absmax = parts.absmax.f32();
  parallel_rows(B, 64, [&](i64 begin, i64 end) {
    for (i64 b = begin; b < end; ++b) {
      const i64 first = b * block, last = std::min(count, first + block);
      float largest = 0;
      for (i64 i = first; i < last; ++i) largest = std::max(largest, std::abs(from[i]));
      const bool full = last - first == block;
      if (!full) largest = std::max(largest, kTiny);
      absmax[b] = largest;
      const float inverse = 1.0f / std::max(largest, kTiny);
      for (i64 i = first; i < last; ++i) {
        const u8 code = encode(full ? from[i] * inverse : from[i] / largest);
        codes[i / 2] = static_cast<u8>(codes[i / 2] | (i % 2 ? code : code << 4));
      }
    }
  });
  if (count % 2)
    codes[count / 2] = static_cast<u8>(codes[count / 2] | encode(0.0f));  // the padding is a zero
  if (options.double_quantized && B > 0) {
    const float offset = cascade_mean({absmax, static_cast<std::size_t>(B)});
    std::vector<float> rest(static_cast<std::size_t>(B));
    for (i64 b = 0; b < B; ++b) rest[static_cast<std::size_t>(b)] = absmax[b] - offset;
    parts.absmax = Tensor::empty({B}, DType::u8);
    parts.nested_absmax = Tensor::empty({blocks_of(B, kNestedBlock)});
    parts.nested_offset = Tensor::of({1}, std::vector<float>{offset});
    quantize_blockwise8(rest.data(), B, kNestedBlock, parts.absmax.data<u8>(), parts.nested_absmax.f32());
  } else if (options.double_quantized) {
    parts.absmax = Tensor::zeros({0}, DType::u8);
    parts.nested_absmax = Tensor::zeros({0});
    parts.nested_offset = Tensor::zeros({1});
  }
  return Weight(std::make_shared<Codebook4Weight>("codebook4", N, K, options, std::move(parts)));
}

Codebook4Weight::Codebook4Weight(
    const std::string& where, i64 rows, i64 cols, const Codebook4Options& options, Parts parts)
    : rows_(rows), cols_(cols), options_(options), parts_(std::move(parts)) {
  check_block(where, options.block);
  if (cols % options.block == 0) integer_group_ = integer_group(options.block, cols, 32);
  const i64 count = rows * cols, B = blocks_of(count, options.block);
  expect_stored(where, ".codes", parts_.codes, {(count + 1) / 2}, DType::u8);
  if (!options.double_quantized) {
    expect_stored(where, ".absmax", parts_.absmax, {B}, DType::f32);
    expect_finite(where, ".absmax", parts_.absmax);
    return;
  }
  expect_stored(where, ".absmax", parts_.absmax, {B}, DType::u8);
  expect_stored(where, ".nested_absmax", parts_.nested_absmax, {blocks_of(B, kNestedBlock)}, DType::f32);
  expect_stored(where, ".nested_offset", parts_.nested_offset, {1}, DType::f32);
  expect_finite(where, ".nested_absmax", parts_.nested_absmax);
  expect_finite(where, ".nested_offset", parts_.nested_offset);
}

std::string Codebook4Weight::name() const {
  return fmt::format("{}_b{}{}",
                     options_.code == Code4::nf4 ? "nf4" : "fp4",
                     options_.block,
                     options_.double_quantized ? "_dq" : "");
}

i64 Codebook4Weight::bytes() const {
  i64 sum = 0;
  each_tensor([&](const std::string&, const Tensor& t) { sum += t.bytes(); });
  return sum;
}

void Codebook4Weight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  cpu::Codebook4View view{};
  view.codes = parts_.codes.data<u8>();
  view.codes_bytes = parts_.codes.bytes();
  view.table = code4_table(options_.code).data();
  if (options_.double_quantized) {
    view.absmax_codes = parts_.absmax.data<u8>();
    view.map = dynamic_map8().data();
    view.nested_absmax = parts_.nested_absmax.f32();
    view.nested_offset = parts_.nested_offset.f32()[0];
  } else {
    view.absmax = parts_.absmax.f32();
  }
  view.cols = cols_;
  view.block = options_.block;
  cpu::decode_codebook4(view, n0, n1, k0, k1, dst, stride);
  round_tile_to(options_.values, dst, n1 - n0, k1 - k0, stride);
}

IntegerForm Codebook4Weight::integer_form() const {
  IntegerForm form;
  form.layout = CodeLayout::high_even;
  form.group = integer_group_;
  form.levels = integer_levels(options_.code).data();
  return form;
}

IntegerRows::Codes Codebook4Weight::integer_codes(i64 n0, i64, i64 k0, i64, u8*) const {
  return {parts_.codes.data<u8>() + (n0 * cols_ + k0) / 2, cols_ / 2};
}

void Codebook4Weight::read_absmax(i64 first, i64 count, float* to) const {
  if (!options_.double_quantized) {
    std::copy_n(parts_.absmax.f32() + first, count, to);
    return;
  }
  const u8* codes = parts_.absmax.data<u8>() + first;
  const float offset = parts_.nested_offset.f32()[0];
  const float* map = dynamic_map8().data();
  for (i64 b = 0; b < count; ++b)
    to[b] = map[codes[b]] * parts_.nested_absmax.f32()[(first + b) / kNestedBlock] + offset;
}

void Codebook4Weight::integer_scales(i64 n0, i64 n1, float* scales, float*) const {
  const i64 blocks = cols_ / options_.block, count = (n1 - n0) * blocks,
            parts = options_.block / integer_group_;
  read_absmax(n0 * blocks, count, scales);
  for (i64 b = 0; b < count; ++b) scales[b] *= 1.0f / integer_steps(options_.code);
  repeat_scales(n1 - n0, blocks, cols_ / integer_group_, parts, scales);
}

void Codebook4Weight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".codes", parts_.codes);
  visit(".absmax", parts_.absmax);
  if (!options_.double_quantized) return;
  visit(".nested_absmax", parts_.nested_absmax);
  visit(".nested_offset", parts_.nested_offset);
}

json Codebook4Weight::options() const {
  json out = {{"format", "codebook4"},
              {"code", options_.code == Code4::nf4 ? "nf4" : "fp4"},
              {"block", options_.block},
              {"double", options_.double_quantized}};
  if (options_.values != DType::f32) out["values"] = dtype_name(options_.values);
  return out;
}

namespace {

Weight read_codebook4(const std::string& where,
                      const json& options,
                      i64 rows,
                      i64 cols,
                      const std::function<Tensor(const std::string&)>& tensor) {
  Codebook4Options o;
  const std::string code = text_option(where, options, "code");
  if (code != "nf4" && code != "fp4") throw user_error("{}: code is '{}', expected nf4 or fp4", where, code);
  o.code = code == "nf4" ? Code4::nf4 : Code4::fp4;
  o.block = integer_option(where, options, "block", 32, 4096);
  o.double_quantized = flag_option(where, options, "double");
  o.values = float_option(where, options, "values", Absent::f32);
  Codebook4Weight::Parts parts{tensor(".codes"), tensor(".absmax"), {}, {}};
  if (o.double_quantized) {
    parts.nested_absmax = tensor(".nested_absmax");
    parts.nested_offset = tensor(".nested_offset");
  }
  return Weight(std::make_shared<Codebook4Weight>(where, rows, cols, o, std::move(parts)));
}

}  // namespace

WeightFormatInfo codebook4_weight_format() {
  return {"codebook4", "4-bit codes of a fixed table (nf4, fp4) with a scale per block", read_codebook4};
}

}  // namespace pare
