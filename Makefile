# Short names for the commands that people need; the build itself is CMake's. `make` prints them.
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
RELEASE := build/release
CTEST := ctest --preset release -j $(JOBS)

.PHONY: help setup build build-tests demo test test-slow bench check sanitize tsan format clean

help: ## print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the missing Debian packages (asks for root only when something is missing)
	@tools/setup.sh

build: ## build the program: build/release/pare
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS) --target pare

build-tests: # the program and all test programs
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)

demo: setup build ## set up, build, and compress the shipped model: prints a table of size, speed and quality
	$(RELEASE)/pare run quickstart

test: setup build-tests ## set up, build, run all tests but the slow ones
	$(CTEST) -LE slow

test-slow: setup build-tests ## the slow tests
	$(CTEST) -L slow

bench: build-tests ## kernels against their references and the limits of this machine
	$(RELEASE)/bench/pare-bench

check: ## format, layers, sizes, twin tests, stray machine flags, clang-tidy on changed files
	@tools/check.sh

sanitize: ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev -j $(JOBS) --target unit_tests
	ctest --preset dev -j $(JOBS)

# OpenMP's own runtime is not built for ThreadSanitizer: its barriers look like races, hence the suppressions.
tsan: ## unit tests under ThreadSanitizer
	@cmake --preset tsan >/dev/null
	@cmake --build --preset tsan -j $(JOBS) --target unit_tests
	TSAN_OPTIONS="suppressions=$(CURDIR)/tools/tsan.txt ignore_noninstrumented_modules=1" ctest --preset tsan -j 1

format: ## format all sources in place
	@git ls-files -co --exclude-standard -- '*.h' '*.cpp' | xargs -r clang-format -i

clean: ## remove what was built
	rm -rf build
