// The tensor types of GGUF files: their numbers, block sizes, and what this program does with them.
// Source: ggml's format description (docs/gguf.md), ggml-common.h.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

/// The number of a type in a file.
enum class GgmlType : u32 {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq4_nl = 20,
  bf16 = 30,
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;  // as ggml writes it: "Q4_K"
  i64 values, bytes;      // of one block
  bool packed;            // a block format of weights/ggml_block.h
  std::optional<DType> dense;
};

/// What is known of the type numbered `type`, or null: a removed or unknown number. Types that are neither
/// packed nor dense can be skipped over in a file, but not read.
const GgmlTypeInfo* find_ggml_type(u32 type);
/// REQUIRES: `type` is one of the enumeration.
const GgmlTypeInfo& ggml_type_info(GgmlType type);
/// "Q4_K" in any case, or nothing.
std::optional<GgmlType> ggml_type_named(std::string_view name);
/// The type that holds a dense dtype as it is: f32, f16, bf16. Throws a bug for others.
GgmlType ggml_type_of(DType dtype);

/// Bytes of a row of `cols` values. REQUIRES: cols is a multiple of the block.
i64 ggml_row_bytes(GgmlType type, i64 cols);

/// What the sixteen codes of IQ4_NL stand for.
inline constexpr i8 kIq4NlValues[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// All packed types, in the order of their numbers.
std::vector<GgmlType> ggml_packed_types();

}  // namespace pare
