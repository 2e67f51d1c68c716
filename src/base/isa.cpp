#include "base/isa.h"

#include <hwy/targets.h>

#include <cstdlib>

#include "base/error.h"

namespace pare {
namespace {

struct Tier {
  const char* name;
  i64 targets;  // Highway's bits of this tier alone
};

// Lowest first: forcing one allows it and those before it.
constexpr Tier kTiers[] = {
    {"scalar", HWY_SCALAR | HWY_EMU128},
#if HWY_ARCH_X86
    {"sse4", HWY_SSE4},
    {"avx2", HWY_AVX2},
    {"avx512", HWY_AVX3},
    {"avx512_vnni", HWY_AVX3_DL},
#endif
#if HWY_ARCH_ARM
    {"neon", HWY_NEON},
#endif
};

/// The bits of this CPU, whatever is forced: Highway applies DisableTargets() to every answer it gives, so
/// the question is put once, before anything is disabled.
i64 cpu_targets() {
  static const i64 found = hwy::SupportedTargets() | HWY_SCALAR | HWY_EMU128;
  return found;
}

bool has(const Tier& tier) { return (tier.targets & cpu_targets() & HWY_TARGETS) != 0; }

/// `where` names the source of the wish in the error.
void force(std::string_view name, std::string_view where) {
  cpu_targets();
  if (name.empty()) return hwy::DisableTargets(0);
  i64 allowed = 0;
  for (const Tier& tier : kTiers) {
    allowed |= tier.targets;
    if (name == tier.name && has(tier)) return hwy::DisableTargets(~allowed);
  }
  std::string names;
  for (const std::string& tier : supported_isas()) names += (names.empty() ? "" : ", ") + tier;
  throw user_error("{}: found \"{}\", expected a tier of this CPU: {}", where, name, names);
}

}  // namespace

void choose_isa() {
  static bool chosen = false;
  if (chosen) return;
  const char* wish = std::getenv("PARE_ISA");
  force(wish ? wish : "", "PARE_ISA");
  chosen = true;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const Tier& tier : kTiers)
    if (has(tier)) names.push_back(tier.name);
  return names;
}

void force_isa(std::string_view name) { force(name, "tier"); }

std::string isa_name() {
  const i64 target = running_target();
  for (const Tier& tier : kTiers)
    if (tier.targets & target) return tier.name;
  throw bug("Highway runs target {}, which no tier names", hwy::TargetName(target));
}

}  // namespace pare
