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

/// Eight bytes at once: (each >> shift) & mask, a mask of one byte that leaves nothing of its neighbour.
u64 fields(const u8* at, i64 shift, u64 mask) {
  u64 bytes;
  std::memcpy(&bytes, at, 8);
  return bytes >> shift & mask * 0x0101010101010101u;
}

/// words[i] = word(8·i), eight codes each.
template <i64 kWords, class Word>
void each_word(u8* out, const Word& word) {
  for (i64 i = 0; i < kWords; ++i) {
    const u64 codes = word(8 * i);
    std::memcpy(out + 8 * i, &codes, 8);
  }
}

void q4_k_unit(const u8* b, i64 j, u8* out) {
  const u8* codes = b + 16 + j / 2 * 32;
  const i64 shift = j % 2 * 4;
  each_word<2>(out,
               [&](i64 i) { return fields(codes + i, shift, 15) | fields(codes + 16 + i, shift, 15) << 4; });
}

/// Nibbles of 16 bytes with the fifth bits in a word.
void five_bit_unit(const u8* nibbles, u32 high, u8* out) {
  each_code(out, [&](i64 i) { return (nibbles[i % 16] >> (i / 16 * 4) & 15) | (high >> i & 1) << 4; });
}

/// A row's inputs from k0 to k1.
struct RowPart {
  const u8* row;
  i64 k0, k1;
};

/// unit(block, j, out) for each unit; kBytes is what it writes.
template <i64 kBytes, class Unit>
void each_unit(const GgmlTypeInfo& info, const RowPart& p, u8* codes, const Unit& unit) {
  const i64 units = info.values / kUnit;
  const u8* block = p.row + p.k0 / info.values * info.bytes;
  i64 j = p.k0 % info.values / kUnit;
  for (i64 k = p.k0; k < p.k1; k += kUnit, codes += kBytes) {
    unit(block, j, codes);
    if (++j < units) continue;
    j = 0;
    block += info.bytes;
  }
}

/// Codes that lie together in each block.
template <i64 kBytes>
void copy_units(const GgmlTypeInfo& info, const RowPart& p, i64 at, u8* codes) {
  const u8* block = p.row + p.k0 / kUnit * info.bytes + at;
  for (i64 k = p.k0; k < p.k1; k += kUnit, codes += kBytes, block += info.bytes)
    std::memcpy(codes, block, kBytes);
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
  const RowPart p{row, k0, k1};
  const auto bytes = [&](const auto& unit) { each_unit<kUnit>(info, p, codes, unit); };
  switch (type) {
    case GgmlType::q4_0:
    case GgmlType::iq4_nl:
      return copy_units<kUnit / 2>(info, p, 2, codes);
    case GgmlType::q4_1:
      return copy_units<kUnit / 2>(info, p, 4, codes);
    case GgmlType::q8_0:
      return copy_units<kUnit>(info, p, 2, codes);
    case GgmlType::q4_k:
      return each_unit<kUnit / 2>(info, p, codes, q4_k_unit);
    case GgmlType::q5_0:
      return bytes([](const u8* b, i64, u8* out) { five_bit_unit(b + 6, u32_at(b + 2), out); });
    case GgmlType::q5_1:
      return bytes([](const u8* b, i64, u8* out) { five_bit_unit(b + 8, u32_at(b + 4), out); });
    case GgmlType::q2_k:
      return bytes([](const u8* b, i64 j, u8* out) {
        const u8* from = b + 16 + j / 4 * 32;
        each_word<4>(out, [&](i64 i) { return fields(from + i, j % 4 * 2, 3); });
      });
    case GgmlType::q3_k:
      return bytes([](const u8* b, i64 j, u8* out) {
        const u8* from = b + 32 + j / 4 * 32;
        each_word<4>(out, [&](i64 i) { return fields(from + i, j % 4 * 2, 3) | fields(b + i, j, 1) << 2; });
      });
    case GgmlType::q5_k:
      return bytes([](const u8* b, i64 j, u8* out) {
        const u8* from = b + 48 + j / 2 * 32;
        each_word<4>(out,
                     [&](i64 i) { return fields(from + i, j % 2 * 4, 15) | fields(b + 16 + i, j, 1) << 4; });
      });
    case GgmlType::q6_k:
      return bytes([](const u8* b, i64 j, u8* out) {
        const i64 r = j % 4;
        const u8 *low = b + j / 4 * 64 + r % 2 * 32, *high = b + 128 + j / 4 * 32;
        each_word<4>(out,
                     [&](i64 i) { return fields(low + i, r / 2 * 4, 15) | fields(high + i, 2 * r, 3) << 4; });
      });
    case GgmlType::f32:
    case GgmlType::f16:
    case GgmlType::bf16:
      throw bug("a dense type has no codes");
  }
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
