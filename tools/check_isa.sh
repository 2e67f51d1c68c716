#!/usr/bin/env bash
# The program must start on the lowest supported CPU: wide registers may appear only in the functions that
# Highway compiled for a wide tier, and no file may be compiled with machine flags of its own.
#   tools/check_isa.sh [build folder]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}

if [ "$(uname -m)" != x86_64 ]; then
  echo "isa: not an x86-64 machine, nothing to check"
  exit 0
fi
if [ ! -f "$build/compile_commands.json" ]; then
  echo "isa: skipped, $build is not configured"
  exit 0
fi
stray=$(grep -oE -- ' -m(arch|tune|cpu|avx|sse|fma|bmi|f16c|prefer)[^ "]*' "$build/compile_commands.json" |
  grep -vx -- ' -march=x86-64-v2' | sort -u || true)
if [ -n "$stray" ]; then
  echo "isa: stray machine flags:$stray"
  exit 1
fi

if [ ! -x "$build/pare" ]; then
  echo "isa: flags are clean; instructions not checked, $build/pare is not built"
  exit 0
fi
# Mangled names keep the namespace of the tier: N_AVX2, N_AVX3, N_AVX3_DL.
wide=$(objdump -d --no-show-raw-insn "$build/pare" | awk '
  /^[0-9a-f]+ <.*>:$/ { name = $2; next }
  /%[yz]mm|%xmm(1[6-9]|2[0-9]|3[01])/ { if (name !~ /N_AVX/ && !(name in seen)) { seen[name] = 1; print name } }')
if [ -n "$wide" ]; then
  echo "isa: functions outside a Highway tier use wide registers:"
  c++filt <<<"$wide" | head -20
  exit 1
fi
echo "isa: no wide instruction outside its tier"
