#include "weights/int_group.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "tensor/half.h"
#include "weights/bits.h"
#include "weights/convert.h"
#include "weights/formats.h"
#include "weights/int_grid.h"
#include "weights/int_group_cpu.h"
#include "weights/integer_group.h"
#include "weights/read_options.h"

namespace pare {
namespace {

constexpr i64 kRowGrain = 8;

void check_options(const std::string& where, const IntGroupOptions& options) {
  if (options.bits < 2 || options.bits > 8)
    throw user_error("{}: bits is {}, expected 2 to 8", where, options.bits);
  if (options.group < -1)
    throw user_error("{}: group is {}, expected at least 1, or 0 for the whole row", where, options.group);
}

Tensor packed_rows(const Tensor& codes, int bits) {
  const i64 N = codes.dim(0), K = codes.dim(1), row = packed_bytes(K, bits);
  Tensor packed = Tensor::empty({N, row}, DType::u8);
  u8* to = packed.data<u8>();
  const u8* from = codes.data<u8>();
  parallel_rows(N, kRowGrain, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) pack_codes(from + n * K, K, bits, to + n * row);
  });
  return packed;
}

Tensor unpacked_rows(const Tensor& packed, i64 K, int bits) {
  const i64 N = packed.dim(0), row = packed.dim(1);
  Tensor codes = Tensor::empty({N, K}, DType::u8);
  u8* to = codes.data<u8>();
  const u8* from = packed.data<u8>();
  parallel_rows(N, kRowGrain, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) unpack_codes(from + n * row, K, bits, to + n * K);
  });
  return codes;
}

void check_codes(const std::string& where, const char* what, const Tensor& t, const Shape& shape, int bits) {
  expect_stored(where, what, t, shape, DType::u8);
  const u8* codes = t.data<u8>();
  for (i64 i = 0; i < t.count(); ++i)
    if (codes[i] >= 1 << bits)
      throw user_error("{}{}: found {} at row {}, column {}, expected less than {}",
                       where,
                       what,
                       codes[i],
                       i / shape[1],
                       i % shape[1],
                       1 << bits);
}

/// A scale times the largest step must stay finite in f16.
void expect_fits_f16(const std::string& where, const Tensor& scales, int bits) {
  const Tensor values = scales.to_f32();
  const float limit = 65504.0f / static_cast<float>((1 << bits) - 1);
  for (const float scale : values.span<float>())
    if (std::abs(scale) > limit)
      throw user_error(
          "{}.scales: found {}, expected at most {}: weights would not fit f16", where, scale, limit);
}

void expect_groups(const std::string& where, const Tensor& index, i64 K, i64 G) {
  expect_stored(where, ".group_index", index, {K}, DType::i32);
  for (i64 k = 0; k < K; ++k)
    if (const i32 g = index.data<i32>()[k]; g < 0 || g >= G)
      throw user_error("{}.group_index: input {} is in group {}, expected 0 to {}", where, k, g, G - 1);
}

}  // namespace

i64 int_group_size(const IntGroupOptions& options, i64 K) {
  return options.group <= 0 ? std::max<i64>(K, 1) : options.group;
}

void expect_int_scales(const std::string& where,
                       i64 rows,
                       i64 cols,
                       const IntGroupOptions& options,
                       const Tensor& scales,
                       const Tensor& zeros) {
  check_options(where, options);
  const i64 group = int_group_size(options, cols), groups = (cols + group - 1) / group;
  const DType type = scales.dtype();
  expect_stored(where,
                ".scales",
                scales,
                {rows, groups},
                type == DType::bf16 || type == DType::f32 ? type : DType::f16);
  expect_finite(where, ".scales", scales);
  if (options.symmetric && zeros.defined())
    throw user_error("{}.zeros: a symmetric weight has no zero points", where);
  if (!options.symmetric)
    expect_stored(where, ".zeros", zeros, {rows, packed_bytes(groups, options.bits)}, DType::u8);
  if (options.values == DType::f16) expect_fits_f16(where, scales, options.bits);
}

Weight quantize_int_group(const Tensor& w, const IntGroupOptions& options) {
  const auto [rows, columns] = dims<2>("quantize_int_group", w);
  const i64 N = rows, K = columns;
  check_options("int_group", options);
  expect_finite_weight("int_group", w);
  const i64 group = int_group_size(options, K), G = (K + group - 1) / group;
  const float* from = w.f32();
  Tensor codes = Tensor::empty({N, K}, DType::u8), zeros = Tensor::empty({N, G}, DType::u8);
  Tensor scales = Tensor::empty({N, G});

  const auto fit = [&](DType scale_dtype) {
    std::atomic<bool> fits{true};
    parallel_rows(N, kRowGrain, [&](i64 begin, i64 end) {
      for (i64 i = begin * G; i < end * G; ++i) {
        const i64 n = i / G, k0 = i % G * group, k1 = std::min(K, k0 + group);
        const std::span<const float> run(from + n * K + k0, static_cast<std::size_t>(k1 - k0));
        const IntGrid grid = fit_int_grid(run, options.bits, options.symmetric, scale_dtype);
        if (!fits_f16(grid)) fits = false;
        scales.f32()[i] = grid.scale;
        zeros.data<u8>()[i] = static_cast<u8>(grid.zero);
        for (i64 k = k0; k < k1; ++k)
          codes.data<u8>()[n * K + k] = static_cast<u8>(grid.code(from[n * K + k]));
      }
    });
    return fits.load();
  };
  DType scale_dtype = DType::f16;
  if (!fit(scale_dtype)) {
    scale_dtype = DType::bf16;
    fit(scale_dtype);
  }
  return int_group_weight(
      "int_group", codes, scales.to(scale_dtype), options.symmetric ? Tensor() : zeros, options);
}

Weight int_group_weight(const std::string& where,
                        const Tensor& codes,
                        const Tensor& scales,
                        const Tensor& zeros,
                        const IntGroupOptions& options) {
  check_options(where, options);
  if (!codes.defined() || codes.shape().rank() != 2)
    throw user_error("{}: codes have no two dimensions", where);
  const i64 N = codes.dim(0), K = codes.dim(1), group = int_group_size(options, K),
            G = (K + group - 1) / group;
  check_codes(where, " codes", codes, {N, K}, options.bits);
  if (!options.symmetric) check_codes(where, " zeros", zeros, {N, G}, options.bits);
  return Weight(
      std::make_shared<IntGroupWeight>(where,
                                       N,
                                       K,
                                       options,
                                       packed_rows(codes, options.bits),
                                       scales,
                                       options.symmetric ? Tensor() : packed_rows(zeros, options.bits)));
}

IntGroupWeight::IntGroupWeight(const std::string& where,
                               i64 rows,
                               i64 cols,
                               const IntGroupOptions& options,
                               Tensor codes,
                               Tensor scales,
                               Tensor zeros,
                               Tensor group_index)
    : rows_(rows),
      cols_(cols),
      group_(int_group_size(options, cols)),
      groups_((cols + group_ - 1) / group_),
      whole_row_(options.group <= 0),
      bits_(options.bits),
      values_(options.values),
      codes_(std::move(codes)),
      scales_(std::move(scales)),
      zeros_(std::move(zeros)),
      group_index_(std::move(group_index)) {
  check_options(where, options);
  expect_stored(where, ".codes", codes_, {rows, packed_bytes(cols, bits_)}, DType::u8);
  expect_int_scales(where, rows, cols, options, scales_, zeros_);
  if (group_index_.defined())
    expect_groups(where, group_index_, cols_, groups_);
  else
    integer_group_ = integer_group(group_, cols_, is_nibbles() ? 32 : 16);
}

std::string IntGroupWeight::name() const {
  const std::string group = whole_row_ ? "row" : fmt::format("g{}", group_);
  return fmt::format(
      "int{}_{}{}{}", bits_, group, symmetric() ? "" : "_asym", group_index_.defined() ? "_act" : "");
}

i64 IntGroupWeight::bytes() const {
  return codes_.bytes() + scales_.bytes() + (zeros_.defined() ? zeros_.bytes() : 0) +
         (group_index_.defined() ? group_index_.bytes() : 0);
}

void IntGroupWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  cpu::IntGroupView view{};
  view.codes = codes_.data<u8>();
  view.row_bytes = codes_.dim(1);
  view.codes_bytes = codes_.bytes();
  view.scales = scales_.raw();
  view.scale_dtype = scales_.dtype();
  view.zeros = zeros_.defined() ? zeros_.data<u8>() : nullptr;
  view.zeros_row_bytes = zeros_.defined() ? zeros_.dim(1) : 0;
  view.group = group_;
  view.groups = groups_;
  view.bits = bits_;
  if (group_index_.defined()) {
    thread_local std::vector<float> table;  // a row's scales and zeros
    table.resize(static_cast<std::size_t>(2 * groups_));
    cpu::decode_int_group_indexed(view, group_index_.data<i32>(), table.data(), n0, n1, k0, k1, dst, stride);
  } else {
    cpu::decode_int_group(view, n0, n1, k0, k1, dst, stride);
  }
  round_tile_to(values_, dst, n1 - n0, k1 - k0, stride);
}

bool IntGroupWeight::is_nibbles() const { return bits_ == 4 && group_ % 32 == 0; }

IntegerForm IntGroupWeight::integer_form() const {
  IntegerForm form;
  form.layout = is_nibbles() ? CodeLayout::low_even : CodeLayout::bytes;
  form.group = integer_group_;
  form.offset = symmetric() ? (1 << (bits_ - 1)) - level_base() : 0;
  form.has_mins = !symmetric();
  return form;
}

IntegerRows::Codes IntGroupWeight::integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const {
  const i64 row = codes_.dim(1);
  const u8* first = codes_.data<u8>() + n0 * row;
  if (is_nibbles()) return {first + k0 / 2, row};
  for (i64 n = n0; n < n1; ++n, first += row)
    cpu::unpack_bytes(first,
                      codes_.data<u8>() + codes_.bytes(),
                      k0,
                      k1,
                      bits_,
                      level_base(),
                      scratch + (n - n0) * (k1 - k0));
  return {scratch, k1 - k0};
}

void IntGroupWeight::integer_scales(i64 n0, i64 n1, float* scales, float* mins) const {
  const i64 first = n0 * groups_, count = (n1 - n0) * groups_, groups = cols_ / integer_group_,
            parts = group_ / integer_group_;
  widen(scales_, first, count, scales);
  if (mins) {
    thread_local std::vector<u8> zeros;
    zeros.resize(static_cast<std::size_t>(groups_));
    for (i64 n = n0, i = 0; n < n1; ++n) {
      unpack_codes(zeros_.data<u8>() + n * zeros_.dim(1), groups_, bits_, zeros.data());
      for (const u8 zero : zeros) {
        mins[i] = scales[i] * static_cast<float>(zero - level_base());
        ++i;
      }
    }
    repeat_scales(n1 - n0, groups_, groups, parts, mins);
  }
  repeat_scales(n1 - n0, groups_, groups, parts, scales);
}

void IntGroupWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".codes", codes_);
  visit(".scales", scales_);
  if (zeros_.defined()) visit(".zeros", zeros_);
  if (group_index_.defined()) visit(".group_index", group_index_);
}

json IntGroupWeight::options() const {
  json out = {{"format", "int_group"},
              {"bits", bits_},
              {"group", whole_row_ ? 0 : group_},
              {"symmetric", symmetric()}};
  if (group_index_.defined()) out["group_index"] = true;
  if (values_ != DType::f32) out["values"] = dtype_name(values_);
  return out;
}

Tensor IntGroupWeight::unpacked_codes() const { return unpacked_rows(codes_, cols_, bits_); }

Tensor IntGroupWeight::unpacked_zeros() const {
  if (zeros_.defined()) return unpacked_rows(zeros_, groups_, bits_);
  Tensor zeros = Tensor::empty({rows_, groups_}, DType::u8);
  std::fill_n(zeros.data<u8>(), zeros.count(), static_cast<u8>(1 << (bits_ - 1)));
  return zeros;
}

IntGroupOptions read_int_options(const std::string& where, const json& options) {
  IntGroupOptions o;
  o.bits = static_cast<int>(integer_option(where, options, "bits", 2, 8));
  o.group = integer_option(where, options, "group", 0, INT32_MAX);
  o.symmetric = flag_option(where, options, "symmetric");
  o.values = float_option(where, options, "values", Absent::f32);
  return o;
}

namespace {

Weight read_int_group(const std::string& where,
                      const json& options,
                      i64 rows,
                      i64 cols,
                      const std::function<Tensor(const std::string&)>& tensor) {
  const IntGroupOptions o = read_int_options(where, options);
  const bool indexed = options.contains("group_index") && flag_option(where, options, "group_index");
  const Tensor index = tensor(".group_index");
  if (index.defined() != indexed)
    throw user_error(
        "{}.group_index: {}, and the options say otherwise", where, indexed ? "missing" : "found");
  return Weight(std::make_shared<IntGroupWeight>(where,
                                                 rows,
                                                 cols,
                                                 o,
                                                 tensor(".codes"),
                                                 tensor(".scales"),
                                                 o.symmetric ? Tensor() : tensor(".zeros"),
                                                 index));
}

}  // namespace

WeightFormatInfo int_group_weight_format() {
  return {"int_group", "integers of 2 to 8 bits with a scale per group of inputs", read_int_group};
}

}  // namespace pare
