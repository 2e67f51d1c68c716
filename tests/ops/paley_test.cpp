#include "ops/paley.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pare {
namespace {

/// H·Hᵀ = n·I, in integers.
void expect_hadamard(const std::vector<i8>& h, i64 n) {
  ASSERT_EQ(static_cast<i64>(h.size()), n * n);
  for (const i8 entry : h) ASSERT_TRUE(entry == 1 || entry == -1) << n;
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j <= i; ++j) {
      i64 dot = 0;
      for (i64 k = 0; k < n; ++k)
        dot += h[static_cast<std::size_t>(i * n + k)] * h[static_cast<std::size_t>(j * n + k)];
      ASSERT_EQ(dot, i == j ? n : 0) << n << ": rows " << i << " and " << j;
    }
}

TEST(Paley, EveryOrderIsAHadamardMatrix) {
  i64 orders = 0;
  for (i64 n = 1; n <= 256; ++n)
    if (has_paley(n)) expect_hadamard(paley(n), n), ++orders;
  EXPECT_EQ(orders, 40);
}

TEST(Paley, PrimesSquaresAndCubesServe) {
  for (const i64 n : {4, 12, 20, 28, 36, 44, 52, 60, 76, 100, 108, 140, 148, 344, 500})
    EXPECT_TRUE(has_paley(n)) << n;
  for (const i64 n : {1, 2, 6, 10, 40, 92, 116, 156, 172}) EXPECT_FALSE(has_paley(n)) << n;
  EXPECT_THROW(paley(92), Error);
}

}  // namespace
}  // namespace pare
