#include "base/memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace pare {

void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
  if (bytes < kHugeFrom) return std::aligned_alloc(kLine, (bytes + kLine - 1) / kLine * kLine);
  const std::size_t rounded = (bytes + kLine - 1) / kLine * kLine;
  void* data = nullptr;
  if (::posix_memalign(&data, kHugePage, rounded) != 0) return nullptr;
  // Whole huge pages only: the rest of the last one is not touched, so not paid for. A refusal is no error.
  ::madvise(data, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
  return data;
}

void FreeAligned::operator()(void* p) const { std::free(p); }

}  // namespace pare
