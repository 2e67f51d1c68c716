#include "base/isa.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

class Isa : public testing::Test {
 protected:
  void TearDown() override { force_isa(""); }
};

TEST_F(Isa, EverySupportedTierReallyRunsWhenForced) {
  for (const std::string& tier : supported_isas()) {
    force_isa(tier);
    EXPECT_EQ(isa_name(), tier);
  }
}

TEST_F(Isa, TheForcedTierIsTheCompiledCopyThatRan) {
  force_isa("scalar");
  EXPECT_TRUE(running_target() & (HWY_SCALAR | HWY_EMU128));
#if HWY_ARCH_X86
  const auto tiers = supported_isas();
  ASSERT_NE(std::find(tiers.begin(), tiers.end(), "sse4"), tiers.end());
  force_isa("sse4");
  EXPECT_EQ(running_target(), HWY_SSE4);
#endif
}

TEST_F(Isa, TheBestTierIsTheLastOfThoseSupported) {
  force_isa("scalar");
  force_isa("");
  EXPECT_EQ(isa_name(), supported_isas().back());
}

TEST_F(Isa, ForcingOneTierDoesNotHideTheOthers) {
  const auto before = supported_isas();
  EXPECT_EQ(before.front(), "scalar");
  force_isa("scalar");
  EXPECT_EQ(supported_isas(), before);
}

TEST_F(Isa, AnUnknownTierIsTheUsersMistakeAndListsWhatThereIs) {
  try {
    force_isa("avx3");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user);
    EXPECT_NE(std::string(e.what()).find("avx3"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("scalar"), std::string::npos);
  }
}

TEST_F(Isa, ATierThatThisCpuLacksIsAnError) {
  const auto tiers = supported_isas();
  for (const char* tier : {"sse4", "avx2", "avx512", "avx512_vnni", "neon"})
    if (std::find(tiers.begin(), tiers.end(), tier) == tiers.end())
      EXPECT_THROW(force_isa(tier), Error) << tier;
}

}  // namespace
}  // namespace pare
