#!/usr/bin/env bash
# Installs the Debian packages that building, testing and checking need: exactly those that are missing.
# Does nothing, quickly, when nothing is missing. What each one is for: docs/dependencies.md.
set -euo pipefail

packages=(
  g++ cmake ninja-build make pkg-config
  libhwy-dev libboost-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libfmt-dev
  libspdlog-dev libpcre2-dev libutf8proc-dev libsentencepiece-dev libsimdjson-dev libssl-dev libsqlite3-dev
  libcurl4-openssl-dev libeigen3-dev libgtest-dev libbenchmark-dev libcpp-httplib-dev
  clang-format clang-tidy git ca-certificates python3
)

if ! command -v dpkg-query >/dev/null; then
  echo "tools/setup.sh knows Debian and Ubuntu only. On another system install the libraries that" >&2
  echo "docs/dependencies.md lists with its own package manager; then 'make build' works." >&2
  exit 1
fi

installed=$(dpkg-query -W -f '${db:Status-Abbrev}${binary:Package}\n' 2>/dev/null | sed -n 's/^ii *\([^:]*\).*/\1/p')
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

echo "setup: missing: ${missing[*]}"
install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
  as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
else
  echo "setup: installing needs root. Run this once, as root, and try again:" >&2
  echo "  apt-get update && ${install[*]}" >&2
  exit 1
fi
# Package lists may be old or absent (fresh containers), but a machine without a network may have a cache.
"${as_root[@]}" apt-get update -q || echo "setup: package lists could not be renewed; trying with those that are here" >&2
"${as_root[@]}" "${install[@]}"
