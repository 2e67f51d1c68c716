#!/usr/bin/env bash
# All checks that need no test run. Every check runs; the exit status is non-zero when one of them failed.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

check() {  # name, command…
  local name=$1
  shift
  echo "--- $name"
  "$@" || failed+=("$name")
}

format() {
  git ls-files -z -- '*.h' '*.cpp' | xargs -0 -r clang-format --dry-run -Werror 2>&1 | grep -E 'error:' | head -20
  [ "${PIPESTATUS[1]}" -eq 0 ] || { echo "format: run 'make format'"; return 1; }
}

check format format
check layers python3 tools/check_layers.py
check tree python3 tools/check_tree.py
check isa tools/check_isa.sh
check tidy tools/check_tidy.sh

if [ ${#failed[@]} -gt 0 ]; then
  echo "check: failed: ${failed[*]}"
  exit 1
fi
echo "check: passed"
