// Memory is aligned as promised and can be written from end to end.
#include "base/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

namespace pare {
namespace {

TEST(Memory, IsAlignedAndWhole) {
  for (const std::size_t bytes : {std::size_t{1},
                                  std::size_t{63},
                                  std::size_t{64},
                                  std::size_t{4097},
                                  kHugeFrom - 1,
                                  kHugeFrom,
                                  kHugeFrom + 1,
                                  3 * kHugeFrom + 77}) {
    void* const p = allocate_aligned(bytes);
    ASSERT_NE(p, nullptr) << bytes;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % (bytes < kHugeFrom ? 64 : std::size_t{2} << 20), 0u)
        << bytes;
    std::memset(p, 1, bytes);
    FreeAligned()(p);
  }
}

TEST(Memory, WhatCannotBeHadIsNull) { EXPECT_EQ(allocate_aligned(std::size_t{1} << 62), nullptr); }

}  // namespace
}  // namespace pare
