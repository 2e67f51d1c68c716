// Memory of tensors and scratch.
#pragma once
#include <cstddef>
#include <memory>

namespace pare {

/// At least `bytes` bytes, aligned to 64; from kHugeFrom on aligned to huge pages, and the kernel is asked
/// for such pages: a product walks through rows that lie pages apart. Null when there is none. Free with
/// std::free.
inline constexpr std::size_t kHugeFrom = std::size_t{4} << 20;
void* allocate_aligned(std::size_t bytes);

struct FreeAligned {
  void operator()(void* p) const;
};
using AlignedFloats = std::unique_ptr<float, FreeAligned>;

}  // namespace pare
