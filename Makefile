# The commands of every day; the build itself is CMake's.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.cc' '*.h')
FUZZERS = $(patsubst tests/fuzz/%.cc,%,$(wildcard tests/fuzz/fuzz_*.cc))

.PHONY: build setup demo demo-serve test test-full install format format-check lint clean

build:
	cmake --preset release
	cmake --build build --parallel $(JOBS)

setup:
	tools/setup.sh

demo: setup build
	tools/demo.sh build/kontext out/demo

# The studio in the browser, with the bundled model; Ctrl-C ends it.
demo-serve: setup build
	tools/demo_serve.sh build/kontext out/studio

# The sum of the suites' times is ctest's "Total Test time"; it includes no building.
test: setup build
	tools/setup.sh tests
	ctest --test-dir build --output-on-failure --parallel 1

# Beside the tests: thousands of edits, kills and waiting clients at the server; every fuzz target for a bounded time, with
# clang's libFuzzer.
test-full: test
	KONTEXT=$(CURDIR)/build/kontext KONTEXT_SOURCE=$(CURDIR) PYTHONPATH=tests/pipeline:tests/serve \
	  python3 -m unittest -v endurance
	tools/setup.sh checks
	CC=clang CXX=clang++ cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_FLAGS=-fsanitize=fuzzer-no-link \
	  -DKONTEXT_BUILD_FUZZERS=ON -DKONTEXT_SANITIZE=ON -DKONTEXT_BUILD_BENCH=OFF
	cmake --build build-fuzz --parallel $(JOBS) --target $(FUZZERS)
	ctest --test-dir build-fuzz --output-on-failure -L fuzz

install: build
	cmake --install build --prefix $(PREFIX)

format:
	clang-format -i $(SOURCES)

format-check:
	clang-format --dry-run -Werror $(SOURCES)

lint:
	cmake --preset release
	tools/lint.py build

clean:
	rm -rf build build-asan build-onednn3 build-fuzz build-dev build-tidy
