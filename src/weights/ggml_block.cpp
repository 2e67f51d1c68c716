#include "weights/ggml_block.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstring>

#include "base/threads.h"
#include "weights/formats.h"
#include "weights/ggml_block_cpu.h"
#include "weights/ggml_integers.h"
#include "weights/ggml_sub_scales.h"
#include "weights/read_options.h"

namespace pare {
namespace {

bool finite_f16(const u8* at) {
  u16 bits;
  std::memcpy(&bits, at, 2);
  return (bits & 0x7c00) != 0x7c00;
}

/// The first block with a scale that is not finite, or `count`.
i64 first_bad_block(GgmlType type, const u8* blocks, i64 count) {
  const i64 bytes = ggml_type_info(type).bytes;
  const GgmlScalesAt at = ggml_scales_at(type);
  std::atomic<i64> bad = count;
  parallel_rows(count, 4096, [&](i64 begin, i64 end) {
    for (i64 b = begin; b < end; ++b) {
      const u8* block = blocks + b * bytes;
      if (finite_f16(block + at.first) && (at.second < 0 || finite_f16(block + at.second))) continue;
      for (i64 seen = bad; b < seen && !bad.compare_exchange_weak(seen, b);) {
      }
      return;
    }
  });
  return bad;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

}  // namespace

GgmlBlockWeight::GgmlBlockWeight(const std::string& where, GgmlType type, i64 rows, i64 cols, Tensor blocks)
    : type_(type), cols_(cols), blocks_(std::move(blocks)) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  if (!info.packed) throw user_error("{}: {} is no block format", where, info.name);
  if (cols % info.values)
    throw user_error(
        "{}: rows of {} values are no multiple of the {} of {}", where, cols, info.values, info.name);
  expect_stored(where, ".blocks", blocks_, {rows, ggml_row_bytes(type, cols)}, DType::u8);
  const i64 count = rows * (cols / info.values);
  const i64 bad = first_bad_block(type, blocks_.data<u8>(), count);
  if (bad < count)
    throw user_error(
        "{}: {} block {} has a scale that is not finite; is the file damaged?", where, info.name, bad);
}

std::string GgmlBlockWeight::name() const { return lower(ggml_type_info(type_).name); }

void GgmlBlockWeight::decode(i64 n0, i64 n1, i64 k0, i64 k1, float* dst, i64 stride) const {
  cpu::decode_ggml_block({type_, blocks_.data<u8>(), blocks_.dim(1)}, n0, n1, k0, k1, dst, stride);
}

IntegerForm GgmlBlockWeight::integer_form() const { return ggml_integer_form(type_); }

IntegerRows::Codes GgmlBlockWeight::integer_codes(i64 n0, i64 n1, i64 k0, i64 k1, u8* scratch) const {
  const i64 row = blocks_.dim(1);
  const i64 stride = integer_form().layout == CodeLayout::bytes ? k1 - k0 : (k1 - k0) / 2;
  for (i64 n = n0; n < n1; ++n)
    ggml_integer_codes(type_, blocks_.data<u8>() + n * row, k0, k1, scratch + (n - n0) * stride);
  return {scratch, stride};
}

void GgmlBlockWeight::integer_scales(i64 n0, i64 n1, float* scales, float* mins) const {
  const i64 groups = cols_ / integer_form().group, row = blocks_.dim(1);
  for (i64 n = n0; n < n1; ++n, scales += groups) {
    ggml_integer_scales(type_, blocks_.data<u8>() + n * row, cols_, scales, mins);
    if (mins) mins += groups;
  }
}

void GgmlBlockWeight::each_tensor(const std::function<void(const std::string&, const Tensor&)>& visit) const {
  visit(".blocks", blocks_);
}

json GgmlBlockWeight::options() const { return {{"format", "ggml_block"}, {"type", name()}}; }

namespace {

Weight read_ggml_block(const std::string& where,
                       const json& options,
                       i64 rows,
                       i64 cols,
                       const std::function<Tensor(const std::string&)>& tensor) {
  const std::string name = text_option(where, options, "type");
  const auto type = ggml_type_named(name);
  if (!type) throw user_error("{}: type is '{}', expected a block type such as q4_k", where, name);
  return Weight(std::make_shared<GgmlBlockWeight>(where, *type, rows, cols, tensor(".blocks")));
}

}  // namespace

WeightFormatInfo ggml_block_weight_format() {
  return {
      "ggml_block", "blocks of GGUF files as they lie (q4_0 … q8_0, q2_k … q6_k, iq4_nl)", read_ggml_block};
}

}  // namespace pare
