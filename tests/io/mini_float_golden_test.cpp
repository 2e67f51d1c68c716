// Codes of small floats are the reference library's on its own numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "io/safetensors.h"
#include "weights/float_group_encode.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

TEST(MiniFloatCodes, AreTheReferencesOnItsNumbers) {
  const fs::path floats = fs::path(PARE_SHARED) / "fixtures/quant/mx/floats.safetensors";
  if (!fs::exists(floats)) GTEST_SKIP() << floats << " is not here";
  const SafeTensors file = SafeTensors::open(floats);
  const Tensor x = file.tensor("e4m3fn.x"), want = file.tensor("e4m3fn.saturating_from_f32");
  for (i64 i = 0; i < x.count(); ++i) {
    if (std::isnan(x.f32()[i])) continue;  // its sign is free
    EXPECT_EQ(e4m3_code(x.f32()[i]), want.data<u8>()[i]) << x.f32()[i];
  }
  const Tensor small = file.tensor("e2m1.x"), codes = file.tensor("e2m1.codes_ties_even");
  for (i64 i = 0; i < small.count(); ++i)
    EXPECT_EQ(e2m1_value(e2m1_code(small.f32()[i])), e2m1_value(codes.data<u8>()[i])) << small.f32()[i];
}

}  // namespace
}  // namespace pare
