#include "weights/ggml_integers.h"

#include <cstring>
#include <vector>

#include "base/error.h"
#include "weights/convert.h"
#include "weights/ggml_sub_scales.h"

namespace pare {
namespace {

constexpr i64 kUnit = 32;  // values that are unpacked together: unit j of a block

/// out[i] = code(i) for a unit.
template <class Code>
void each_code(u8* out, const Code& code) {
  for (i64 i = 0; i < kUnit; ++i) out[i] = static_cast<u8>(code(i));
}

u32 u32_at(const u8* at) {
  u32 bits;
  std::memcpy(&bits, at, 4);
  return bits;
}

void q4_k_unit(const u8* b, i64 j, u8* out) {
  const u8* codes = b + 16 + j / 2 * 32;
  const int shift = static_cast<int>(j % 2) * 4;
  for (i64 i = 0; i < 16; ++i)
    out[i] = static_cast<u8>((codes[i] >> shift & 15) | (codes[i + 16] >> shift & 15) << 4);
}

/// Nibbles of 16 bytes with the fifth bits in a word.
void five_bit_unit(const u8* nibbles, u32 high, u8* out) {
  each_code(out, [&](i64 i) { return (nibbles[i % 16] >> (i / 16 * 4) & 15) | (high >> i & 1) << 4; });
}

void unit(GgmlType type, const u8* b, i64 j, u8* out) {
  const int two_bits = static_cast<int>(j % 4) * 2, four_bits = static_cast<int>(j % 2) * 4,
            bit = static_cast<int>(j);
  switch (type) {
    case GgmlType::q4_0:
    case GgmlType::iq4_nl:
      std::memcpy(out, b + 2, 16);
      return;
    case GgmlType::q4_1:
      std::memcpy(out, b + 4, 16);
      return;
    case GgmlType::q8_0:
      std::memcpy(out, b + 2, 32);
      return;
    case GgmlType::q5_0:
      return five_bit_unit(b + 6, u32_at(b + 2), out);
    case GgmlType::q5_1:
      return five_bit_unit(b + 8, u32_at(b + 4), out);
    case GgmlType::q2_k: {
      const u8* codes = b + 16 + j / 4 * 32;
      return each_code(out, [&](i64 i) { return codes[i] >> two_bits & 3; });
    }
    case GgmlType::q3_k: {
      const u8* codes = b + 32 + j / 4 * 32;
      return each_code(out, [&](i64 i) { return (codes[i] >> two_bits & 3) | (b[i] >> bit & 1) << 2; });
    }
    case GgmlType::q4_k:
      return q4_k_unit(b, j, out);
    case GgmlType::q5_k: {
      const u8* codes = b + 48 + j / 2 * 32;
      return each_code(out,
                       [&](i64 i) { return (codes[i] >> four_bits & 15) | (b[16 + i] >> bit & 1) << 4; });
    }
    case GgmlType::q6_k: {
      const i64 r = j % 4;
      const u8 *low = b + j / 4 * 64 + r % 2 * 32, *high = b + 128 + j / 4 * 32;
      const int low_shift = static_cast<int>(r / 2) * 4;
      return each_code(out,
                       [&](i64 i) { return (low[i] >> low_shift & 15) | (high[i] >> two_bits & 3) << 4; });
    }
    case GgmlType::f32:
    case GgmlType::f16:
    case GgmlType::bf16:
      throw bug("a dense type has no codes");
  }
}

/// f16 values at `at` of every block of a row.
void block_values(const u8* row, i64 blocks, i64 bytes, i64 at, std::vector<u16>& bits, float* to) {
  bits.resize(static_cast<std::size_t>(blocks));
  for (i64 b = 0; b < blocks; ++b) std::memcpy(&bits[static_cast<std::size_t>(b)], row + b * bytes + at, 2);
  f16_to_f32(bits.data(), blocks, to);
}

bool is_halves(GgmlType type) {
  return type == GgmlType::q4_0 || type == GgmlType::q4_1 || type == GgmlType::iq4_nl ||
         type == GgmlType::q4_k;
}

}  // namespace

IntegerForm ggml_integer_form(GgmlType type) {
  IntegerForm form;
  form.layout = is_halves(type) ? CodeLayout::halves : CodeLayout::bytes;
  form.group = kUnit;
  switch (type) {
    case GgmlType::q4_0:
      form.offset = 8;
      break;
    case GgmlType::iq4_nl:
      form.levels = kIq4NlValues;
      break;
    case GgmlType::q5_0:
      form.offset = 16;
      break;
    case GgmlType::q3_k:
      form.offset = 4;
      form.group = 16;
      break;
    case GgmlType::q6_k:
      form.offset = 32;
      form.group = 16;
      break;
    case GgmlType::q2_k:
      form.group = 16;
      form.has_mins = true;
      break;
    case GgmlType::q8_0:
      break;
    default:
      form.has_mins = true;
  }
  return form;
}

void ggml_integer_codes(GgmlType type, const u8* row, i64 k0, i64 k1, u8* codes) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  const i64 step = is_halves(type) ? kUnit / 2 : kUnit;
  for (i64 k = k0; k < k1; k += kUnit, codes += step)
    unit(type, row + k / info.values * info.bytes, k % info.values / kUnit, codes);
}

void ggml_integer_scales(GgmlType type, const u8* row, i64 K, float* scales, float* mins) {
  thread_local std::vector<u16> bits;
  thread_local std::vector<float> first, second;
  const GgmlTypeInfo& info = ggml_type_info(type);
  const i64 blocks = K / info.values;
  const GgmlScalesAt at = ggml_scales_at(type);
  if (info.values == kUnit) {
    block_values(row, blocks, info.bytes, at.first, bits, scales);
    if (!mins) return;
    block_values(row, blocks, info.bytes, at.second, bits, mins);
    for (i64 b = 0; b < blocks; ++b) mins[b] = -mins[b];
    return;
  }
  const i64 subs = info.values / ggml_integer_form(type).group;
  first.resize(static_cast<std::size_t>(blocks));
  block_values(row, blocks, info.bytes, at.first, bits, first.data());
  if (mins) {
    second.resize(static_cast<std::size_t>(blocks));
    block_values(row, blocks, info.bytes, at.second, bits, second.data());
  }
  for (i64 b = 0; b < blocks; ++b, row += info.bytes)
    for (i64 s = 0; s < subs; ++s) {
      const GgmlSubScale sub = ggml_sub_scale(type, row, s);
      scales[b * subs + s] = first[static_cast<std::size_t>(b)] * static_cast<float>(sub.scale);
      if (mins) mins[b * subs + s] = second[static_cast<std::size_t>(b)] * static_cast<float>(sub.min);
    }
}

}  // namespace pare
