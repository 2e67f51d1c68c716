// The main function of every test program: PARE_ISA=avx2 ctest … runs all tests on that tier.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/error.h"
#include "base/isa.h"

#ifdef __SANITIZE_ADDRESS__
// A request that cannot be met gives nothing, as without the sanitizer: tests ask what follows from that.
extern "C" const char* __asan_default_options();
const char* __asan_default_options() { return "allocator_may_return_null=1"; }
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  try {
    pare::choose_isa();
  } catch (const pare::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code();
  }
  return RUN_ALL_TESTS();
}
