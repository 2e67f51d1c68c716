// The main function of pare-bench: PARE_ISA=avx2 pare-bench … measures one tier.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "base/error.h"
#include "base/isa.h"
#include "base/threads.h"

int main(int argc, char** argv) {
  pare::limit_spinning(argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    pare::choose_isa();
  } catch (const pare::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code();
  }
  benchmark::AddCustomContext("tier", pare::isa_name());
  benchmark::RunSpecifiedBenchmarks();
}
