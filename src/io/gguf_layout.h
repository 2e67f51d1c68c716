// Sizes that the reader and the writer of GGUF files share.
#pragma once
#include <optional>
#include <vector>

#include "weights/ggml_types.h"

namespace pare {

inline constexpr i64 kGgufAlignment = 32;         // where general.alignment does not say otherwise
inline constexpr std::size_t kGgufMostName = 63;  // bytes of a tensor's name

inline i64 padded(i64 bytes, i64 alignment) { return (bytes + alignment - 1) / alignment * alignment; }

/// Bytes of a tensor whose rows are whole blocks, or nothing when the count does not leave room below 2⁶³
/// for padding.
inline std::optional<i64> ggml_bytes(GgmlType type, const std::vector<i64>& shape) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  i64 n = 1;
  for (const i64 dim : shape)
    if (dim < 0 || __builtin_mul_overflow(n, dim, &n)) return {};
  if (__builtin_mul_overflow(n / info.values, info.bytes, &n) || n > (i64{1} << 60)) return {};
  return n;
}

}  // namespace pare
