#include "weights/ggml_types.h"

#include <cctype>

#include "base/error.h"

namespace pare {
namespace {

constexpr GgmlTypeInfo number(u32 type, std::string_view name, i64 bytes, std::optional<DType> dense = {}) {
  return {static_cast<GgmlType>(type), name, 1, bytes, false, dense};
}
constexpr GgmlTypeInfo packed(GgmlType type, std::string_view name, i64 values, i64 bytes) {
  return {type, name, values, bytes, true, {}};
}
/// Its size is known, its decoder is not written.
constexpr GgmlTypeInfo unread(u32 type, std::string_view name, i64 values, i64 bytes) {
  return {static_cast<GgmlType>(type), name, values, bytes, false, {}};
}

// 4, 5, 31 to 33 and 36 to 38 are removed types.
constexpr GgmlTypeInfo kTypes[] = {
    number(0, "F32", 4, DType::f32),
    number(1, "F16", 2, DType::f16),
    packed(GgmlType::q4_0, "Q4_0", 32, 18),
    packed(GgmlType::q4_1, "Q4_1", 32, 20),
    packed(GgmlType::q5_0, "Q5_0", 32, 22),
    packed(GgmlType::q5_1, "Q5_1", 32, 24),
    packed(GgmlType::q8_0, "Q8_0", 32, 34),
    unread(9, "Q8_1", 32, 36),
    packed(GgmlType::q2_k, "Q2_K", 256, 84),
    packed(GgmlType::q3_k, "Q3_K", 256, 110),
    packed(GgmlType::q4_k, "Q4_K", 256, 144),
    packed(GgmlType::q5_k, "Q5_K", 256, 176),
    packed(GgmlType::q6_k, "Q6_K", 256, 210),
    unread(15, "Q8_K", 256, 292),
    unread(16, "IQ2_XXS", 256, 66),
    unread(17, "IQ2_XS", 256, 74),
    unread(18, "IQ3_XXS", 256, 98),
    unread(19, "IQ1_S", 256, 50),
    packed(GgmlType::iq4_nl, "IQ4_NL", 32, 18),
    unread(21, "IQ3_S", 256, 110),
    unread(22, "IQ2_S", 256, 82),
    unread(23, "IQ4_XS", 256, 136),
    number(24, "I8", 1),
    number(25, "I16", 2),
    number(26, "I32", 4),
    number(27, "I64", 8),
    number(28, "F64", 8),
    unread(29, "IQ1_M", 256, 56),
    number(30, "BF16", 2, DType::bf16),
    unread(34, "TQ1_0", 256, 54),
    unread(35, "TQ2_0", 256, 66),
    unread(39, "MXFP4", 32, 17),
    unread(40, "NVFP4", 64, 36),
};

bool same_letters(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::toupper(static_cast<unsigned char>(a[i])) != std::toupper(static_cast<unsigned char>(b[i])))
      return false;
  return true;
}

}  // namespace

const GgmlTypeInfo* find_ggml_type(u32 type) {
  for (const GgmlTypeInfo& info : kTypes)
    if (static_cast<u32>(info.type) == type) return &info;
  return nullptr;
}

const GgmlTypeInfo& ggml_type_info(GgmlType type) {
  const GgmlTypeInfo* info = find_ggml_type(static_cast<u32>(type));
  if (!info) throw bug("ggml type {} is not known", static_cast<u32>(type));
  return *info;
}

std::optional<GgmlType> ggml_type_named(std::string_view name) {
  for (const GgmlTypeInfo& info : kTypes)
    if ((info.packed || info.dense) && same_letters(info.name, name)) return info.type;
  return {};
}

GgmlType ggml_type_of(DType dtype) {
  for (const GgmlTypeInfo& info : kTypes)
    if (info.dense == dtype) return info.type;
  throw bug("no ggml type holds dense {}", dtype_name(dtype));
}

i64 ggml_row_bytes(GgmlType type, i64 cols) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  return cols / info.values * info.bytes;
}

std::vector<GgmlType> ggml_packed_types() {
  std::vector<GgmlType> types;
  for (const GgmlTypeInfo& info : kTypes)
    if (info.packed) types.push_back(info.type);
  return types;
}

}  // namespace pare
