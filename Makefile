# The commands that everyone relies on. Each installs what is missing first (see .ci/setup).
#
#   make demo     build and run `coalition demo`
#   make test     the tests
#   make check    the tests, lint, format, sanitizers, the public symbols, the consumer package
#   make bench    measure against the naive reference and the peers that are installed
#   make format   format all Swift and C sources
#   make fuzz     100,000 mutated files per reader

SWIFT ?= swift
# Python with the peer libraries (Benchmarks/Peers/requirements.txt); without them ratios print "not measured".
PYTHON ?= python3
# What the tests are built with besides; `make check` makes warnings errors.
export SWIFT_FLAGS ?=

.PHONY: demo test check plain-checks bench format lint fuzz setup sanitize consumer symbols

demo: setup
	$(SWIFT) run -c release coalition demo

test: setup
	$(SWIFT) test -c release --parallel $(SWIFT_FLAGS)

# The sanitized build and the others leave each other a processor most of the time: one module waits for the next.
check: setup
	@$(MAKE) -j2 --output-sync=target plain-checks sanitize SWIFT_FLAGS="-Xswiftc -warnings-as-errors"

plain-checks:
	@$(MAKE) -j1 test lint symbols consumer

bench: setup
	$(SWIFT) run -c release Bench --layers --python $(PYTHON)

setup:
	@bash .ci/setup

lint:
	@bash .ci/lint

format:
	$(SWIFT) format -i -r Package.swift Sources Tests Benchmarks Examples
	@if command -v clang-format >/dev/null; then git ls-files 'csrc/*.[ch]' 'Sources/*.[ch]' | xargs clang-format -i; \
	else echo "format: clang-format is not installed: C is left as it is"; fi

sanitize: setup
	@bash .ci/sanitize

consumer: setup
	@bash .ci/consumer

symbols: setup
	@bash .ci/symbols

fuzz: setup
	@bash Tests/Fuzzing/fuzz.sh
