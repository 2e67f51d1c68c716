// The instruction-set tier that vector code runs on, forced by PARE_ISA.
//
// Vector code is compiled once per tier by Highway and picked at run time; the best tier of this CPU is the
// default. A tier's name is part of an artefact's key: bits are promised for one program version and one
// tier.
//
//   name         Highway target        needs
//   scalar       SCALAR (or EMU128)    nothing beyond the CPU that the program is compiled for
//   sse4         SSE4                  SSE4.2, AES
//   avx2         AVX2                  AVX2, FMA, F16C, BMI2
//   avx512       AVX3                  AVX-512 F, BW, DQ, VL
//   avx512_vnni  AVX3_DL               AVX-512 with VNNI, VBMI2, BITALG, … (Ice Lake, Zen 4 and later)
//   neon         NEON                  64-bit Arm
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare {

/// Reads PARE_ISA once and caps the tier at it; empty or unset leaves the best one. Call it before any vector
/// code runs. Throws a user error listing the tiers of this CPU when it names another.
void choose_isa();

/// The tiers that this CPU has and this program contains, lowest first. What is forced does not change it.
std::vector<std::string> supported_isas();

/// Caps the tier at `name` from now on, for tests that compare tiers. Vector code written only for lower
/// tiers runs at the best of those. "" returns to the best tier. Throws like choose_isa(). Call it while no
/// other thread is inside vector code.
void force_isa(std::string_view name);

/// The tier that vector code really runs on: asked of a function that is dispatched like every kernel.
std::string isa_name();

/// The HWY_TARGET bit of the copy of a dispatched function that runs now; isa_name() gives it a name.
i64 running_target();

}  // namespace pare
