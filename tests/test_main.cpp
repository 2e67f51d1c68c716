// The main function of every test program: PARE_ISA=avx2 ctest … runs all tests on that tier.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/error.h"
#include "base/isa.h"

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
