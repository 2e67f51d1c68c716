// The dtypes of safetensors in the order of the reference, which is also the order of the writer, reversed.
#pragma once
#include <array>
#include <optional>
#include <string_view>

#include "tensor/tensor.h"

namespace pare {

struct SafeTensorsDType {
  std::string_view name;
  i64 bits;
  std::optional<DType> dtype;  // what it reads as
};

inline constexpr std::array<SafeTensorsDType, 22> kSafeTensorsDTypes = {{
    {"BOOL", 8, DType::u8},  {"F4", 4, {}},           {"F6_E2M3", 6, {}},        {"F6_E3M2", 6, {}},
    {"U8", 8, DType::u8},    {"I8", 8, DType::i8},    {"F8_E5M2", 8, {}},        {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},      {"F8_E4M3FNUZ", 8, {}},  {"F8_E5M2FNUZ", 8, {}},    {"I16", 16, DType::i16},
    {"U16", 16, {}},         {"F16", 16, DType::f16}, {"BF16", 16, DType::bf16}, {"I32", 32, DType::i32},
    {"U32", 32, {}},         {"F32", 32, DType::f32}, {"C64", 64, {}},           {"F64", 64, DType::f64},
    {"I64", 64, DType::i64}, {"U64", 64, {}},
}};

/// Its place in the list, or nothing.
inline std::optional<std::size_t> find_safetensors_dtype(std::string_view name) {
  for (std::size_t i = 0; i < kSafeTensorsDTypes.size(); ++i)
    if (kSafeTensorsDTypes[i].name == name) return i;
  return {};
}

/// Bytes of a tensor, or nothing when the count overflows 63 bits or is no whole number of bytes.
template <class Dims>
std::optional<i64> safetensors_bytes(const Dims& shape, i64 bits) {
  i64 n = 1;
  for (const i64 d : shape)
    if (d < 0 || __builtin_mul_overflow(n, d, &n)) return {};
  if (__builtin_mul_overflow(n, bits, &n) || n % 8 != 0) return {};
  return n / 8;
}

}  // namespace pare
