#!/usr/bin/env bash
# clang-tidy over the sources that differ from a base commit (PARE_BASE, else the upstream branch, else the
# last commit), within a time limit (PARE_TIDY_S seconds, 180 by default; what is left over is named).
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
limit_s=${PARE_TIDY_S:-180}

if ! command -v clang-tidy >/dev/null || [ ! -f "$build/compile_commands.json" ]; then
  echo "tidy: skipped, it needs clang-tidy and a configured $build (make build)"
  exit 0
fi
base=${PARE_BASE:-$(git rev-parse -q --verify '@{upstream}' 2>/dev/null || git rev-parse -q --verify HEAD~1 || true)}
if [ -z "$base" ]; then
  echo "tidy: skipped, there is no commit to compare with"
  exit 0
fi
mapfile -t files < <({ git diff --name-only --diff-filter=d "$base" -- 'src/*.cpp'
                       git ls-files --others --exclude-standard -- 'src/*.cpp'; } | sort -u)
# The compile database is g++'s: clang must find g++'s omp.h (nothing else of g++,
# and without an attribute that it cannot read) and ignore g++'s warnings.
mkdir -p build/tidy
rm -f build/tidy/omp.h
sed 's/__malloc__ *(omp_free)/__malloc__/' "$(g++ -print-file-name=include/omp.h)" >build/tidy/omp.h
# Nor can it read g++'s precompiled headers; files include what they use, so it needs none.
sed 's/-Winvalid-pch -include [^ ]*cmake_pch.hxx//' "$build/compile_commands.json" >build/tidy/compile_commands.json
failed=0
for file in "${files[@]}"; do
  if [ "$SECONDS" -ge "$limit_s" ]; then
    echo "tidy: out of time, not checked: $file"
    continue
  fi
  grep -qF "/$file\"" "$build/compile_commands.json" || continue
  clang-tidy --quiet -p build/tidy --extra-arg=-Wno-unknown-warning-option --extra-arg=-isystem"$PWD/build/tidy" \
    "$file" 2>/dev/null || failed=1
done
[ "$failed" -eq 0 ] && echo "tidy: ${#files[@]} changed files, no finding"
exit "$failed"
