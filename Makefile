# The front door: set-up, server, tests, demo. "make help" lists the targets.
# cargo builds, tests and documents the Rust side alone; make -C c-host does so for the C side.

PREFIX ?= /usr/local
PORT ?= 11211
DATA ?= ./data
CONFIG ?=
CRASH_ROUNDS ?= 10
CRASH_SEED ?= 14
TEST_SEED ?=
ROUNDS ?= 100
SEED ?= 0
SOAK_OPERATIONS ?= 10000000
CHAIN_OPERATIONS ?= 10000000
SECONDS ?= 60
TARGET ?=
DEEP_FLAGS ?=
HOURS ?= 1
SOAK_FLAGS ?=
DEMO_FLAGS ?=
BENCH_FLAGS ?=
export PEERS ?=
SCALE_FLAGS ?=
REPLICATE_FLAGS ?=

# Debian's modules belong to Debian's interpreter; another python3 may come first in PATH.
PYTHON ?= /usr/bin/python3
# rustup puts cargo where a shell that was not started anew does not look.
export PATH := $(PATH):$(HOME)/.cargo/bin

TOP := $(CURDIR)
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),$(TOP)/target))
ENGINE := $(TARGET_DIR)/release/libcheckpoint_engine.so
TOOLS := $(TARGET_DIR)/release
TOOL := $(TOOLS)/online-update
SHARE = $(DESTDIR)$(PREFIX)/share
HOST := $(TOP)/c-host/build/engine-host
JOBS := $(shell nproc 2>/dev/null || echo 2)

# Debian packages; a|b is met by either, and a is what gets installed.
BUILD_PACKAGES := build-essential libevent-dev
DEMO_PACKAGES := python3 python3-binary-memcached wamerican-huge
TEST_PACKAGES := libclang-dev|clang libmemcached-tools python3-pylibmc python3-pymemcache valgrind \
	faketime python3-yaml collectd-core libmicrohttpd12|libmicrohttpd12t64 libprotobuf-c1 nutcracker
DEB_PACKAGES := debhelper lintian systemd-standalone-sysusers|systemd
FUZZ_PACKAGES := clang libclang-rt-14-dev|libclang-rt-16-dev|libclang-rt-19-dev
RUST := 1.95
NIGHTLY := nightly

.PHONY: help deps build-deps demo-deps rust build serve test soak chain fuzz check-deep lint demo
.PHONY: install deb bench scale soak-hosts replicate-bench regenerate clean
.DEFAULT_GOAL := help

help:
	@echo 'Targets:'
	@echo '  deps        install what is missing of the Debian packages that all of this needs'
	@echo '  build       the engine (release), the bundled host, online-update, engine-backup'
	@echo '  serve       build, then serve 127.0.0.1:$(PORT) from $(DATA) until Ctrl-C'
	@echo '  test        lints, unit tests, C suites, client tests, crash tests, generated files'
	@echo '  crash       kill -9 and loss of power, ROUNDS for each kind of instant; SEED=N again'
	@echo '  soak        the model-based test with SOAK_OPERATIONS operations; SOAK_SEED repeats one'
	@echo '  chain       the same with three nodes in a row; CHAIN_OPERATIONS, CHAIN_SEED'
	@echo '  fuzz        every target of tests/fuzz, or TARGET, for SECONDS; needs nightly Rust'
	@echo '  check-deep  suites and client tests with sanitizers and valgrind; an hour; DEEP_FLAGS'
	@echo '  soak-hosts  a node, its replica and the pump at work for HOURS; what grows is an error'
	@echo '  demo        an online update on 350,000 words, with REVERT, COMPLETE and kill -9'
	@echo '  install     the engine and its header, the programs, man pages, completions'
	@echo '  deb         Debian packages of all that, in target/deb'
	@echo '  bench       measures the engine and PEERS beside it, writes docs/performance.md'
	@echo '  scale       10 million keys loaded, restarted, read back; SCALE_FLAGS as in tests/scale'
	@echo '  replicate-bench  a million keys to a replica, with windows; REPLICATE_FLAGS adds options'
	@echo '  lint        cargo fmt --check, cargo clippy'
	@echo '  regenerate  bindings.rs, checkpoint_engine.h and pages of docs from their sources'
	@echo '  clean       remove what was built (not $(DATA))'
	@echo 'Variables: PREFIX, DESTDIR (install); PORT, DATA, CONFIG (serve); DEMO_FLAGS (demo, see'
	@echo '  tests/demo/demo.py); CRASH_ROUNDS, CRASH_SEED (test: rounds for each kind of crash);'
	@echo '  TEST_SEED (test: the order of the tests, as a run has printed it);'
	@echo '  ROUNDS, SEED (crash); SECONDS, TARGET (fuzz); SOAK_OPERATIONS, SOAK_SEED (soak);'
	@echo '  CHAIN_OPERATIONS, CHAIN_SEED (chain);'
	@echo '  HOURS, SOAK_FLAGS (soak-hosts);'
	@echo '  BENCH_FLAGS, PEERS (bench, see tests/bench/bench.py)'

# $(call need,PACKAGES): installs those that are missing. Elsewhere than on Debian it only tells.
define need
	@set -eu; missing=; \
	if ! command -v dpkg-query >/dev/null; then \
		echo 'This is not Debian: have what these packages hold: $(1)'; exit 0; \
	fi; \
	for choice in $(foreach p,$(1),'$(p)'); do \
		found=; \
		for package in $$(echo "$$choice" | tr '|' ' '); do \
			case $$(dpkg-query -W -f '$${db:Status-Status}\n' "$$package" 2>/dev/null) in \
				installed) found=1;; \
			esac; \
		done; \
		[ -n "$$found" ] || missing="$$missing $${choice%%|*}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	root=; \
	if [ "$$(id -u)" -ne 0 ]; then \
		if ! command -v sudo >/dev/null; then \
			echo "Missing packages:$$missing" >&2; \
			echo "You are not root and there is no sudo. As root: apt-get install$$missing" >&2; \
			exit 1; \
		fi; \
		root=sudo; \
	fi; \
	echo "Installing:$$missing"; \
	$$root apt-get update -qq; \
	$$root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $$missing >/dev/null
endef

deps: build-deps demo-deps rust
	$(call need,$(TEST_PACKAGES) $(DEB_PACKAGES))

build-deps:
	$(call need,$(BUILD_PACKAGES))

demo-deps:
	$(call need,$(DEMO_PACKAGES))

rust:
	@set -eu; \
	advice='Rust $(RUST) or later is needed, and Debian packages an older one. Install it for this'; \
	advice="$$advice user with rustup (https://rustup.rs): rustup toolchain install stable"; \
	if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then \
		echo "There is no cargo or no rustc. $$advice" >&2; exit 1; \
	fi; \
	version=$$(cd '$(TOP)' && rustc --version | cut -d ' ' -f 2); \
	if [ "$$(printf '%s\n' '$(RUST)' "$${version%%-*}" | sort -V | head -n 1)" != '$(RUST)' ]; then \
		echo "This is Rust $$version. $$advice" >&2; exit 1; \
	fi

build: build-deps rust
	cd '$(TOP)' && cargo build --release --locked
	@$(MAKE) --no-print-directory -C '$(TOP)/c-host' -j$(JOBS) server

# A ";" in the path must not end the value.
DBNAME = dbname=$(subst ;,\;,$(abspath $(DATA)))

serve: build
	@echo
	@echo 'Serving 127.0.0.1:$(PORT), binary and ascii protocol; the data is in $(abspath $(DATA)).'
	@echo 'Any memcached client can connect. The three commands of an online update:'
	@echo '    target/release/online-update -n 127.0.0.1:$(PORT) start | complete | revert'
	@echo '    target/release/online-update -n 127.0.0.1:$(PORT) status'
	@echo 'Ctrl-C ends it; everything outside of an open window is on disk then.'
	@exec '$(HOST)' -E '$(ENGINE)' -l 127.0.0.1 -p '$(PORT)' -e '$(DBNAME)$(if $(CONFIG),;$(CONFIG))'

test: deps
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' CRASH_ROUNDS='$(CRASH_ROUNDS)' \
		CRASH_SEED='$(CRASH_SEED)' TEST_SEED='$(TEST_SEED)' \
		exec '$(PYTHON)' tests/run.py --jobs $(JOBS)

.PHONY: crash
crash: build
	@$(MAKE) --no-print-directory -C '$(TOP)/c-host' faults
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' CRASH_ROUNDS='$(ROUNDS)' CRASH_SEED='$(SEED)' \
		exec '$(PYTHON)' tests/clients/runner.py tests/crash/test_*.py

soak: rust
	cd '$(TOP)' && SOAK_OPERATIONS='$(SOAK_OPERATIONS)' cargo test --locked --release --lib \
		random_operations_and_windows -- --nocapture

chain: rust
	cd '$(TOP)' && CHAIN_OPERATIONS='$(CHAIN_OPERATIONS)' cargo test --locked --release --lib \
		three_nodes_in_a_row -- --nocapture

fuzz: build-deps rust
	$(call need,$(FUZZ_PACKAGES))
	@cd '$(TOP)' && rustup run '$(NIGHTLY)' rustc --version >/dev/null && \
		cargo fuzz --version >/dev/null || { \
		echo 'Fuzzing needs: rustup toolchain install $(NIGHTLY); cargo install cargo-fuzz' >&2; \
		exit 1; }
	@cd '$(TOP)' && exec '$(PYTHON)' tests/fuzz/fuzz.py --toolchain '$(NIGHTLY)' \
		--seconds '$(SECONDS)' --target '$(TARGET)'

check-deep: build rust
	$(call need,$(FUZZ_PACKAGES) valgrind)
	@rustup run '$(NIGHTLY)' rustc --version >/dev/null || { \
		echo 'The sanitizers need: rustup toolchain install $(NIGHTLY) -c rust-src' >&2; exit 1; }
	@cd '$(TOP)' && exec '$(PYTHON)' tests/deep.py --toolchain '$(NIGHTLY)' $(DEEP_FLAGS)

soak-hosts: build
	@$(MAKE) --no-print-directory -C '$(TOP)/c-host' replicate
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' \
		exec '$(PYTHON)' tests/soak/soak.py --hours '$(HOURS)' $(SOAK_FLAGS)

lint: rust
	cd '$(TOP)' && cargo fmt --check
	cd '$(TOP)' && cargo clippy --locked --all-targets -- -D warnings

demo: build demo-deps
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' exec '$(PYTHON)' tests/demo/demo.py $(DEMO_FLAGS)

install:
	@test -f '$(ENGINE)' -a -f '$(TOOL)' -a -f '$(TOOLS)/engine-backup' || \
		$(MAKE) --no-print-directory build
	install -D -m 0755 '$(ENGINE)' '$(DESTDIR)$(PREFIX)/lib/memcached/checkpoint_engine.so'
	install -D -m 0644 '$(TOP)/include/checkpoint_engine.h' \
		'$(DESTDIR)$(PREFIX)/include/checkpoint_engine.h'
	@set -eu; for tool in online-update engine-backup; do \
		set -x; \
		install -D -m 0755 "$(TOOLS)/$$tool" "$(DESTDIR)$(PREFIX)/bin/$$tool"; \
		"$(TOOLS)/$$tool" pages '$(TARGET_DIR)/pages'; \
		install -D -m 0644 "$(TARGET_DIR)/pages/bash/$$tool.bash" \
			"$(SHARE)/bash-completion/completions/$$tool"; \
		install -D -m 0644 "$(TARGET_DIR)/pages/zsh/_$$tool" \
			"$(SHARE)/zsh/site-functions/_$$tool"; \
		install -D -m 0644 "$(TARGET_DIR)/pages/fish/$$tool.fish" \
			"$(SHARE)/fish/vendor_completions.d/$$tool.fish"; \
	done
	install -d '$(SHARE)/man/man1'
	install -m 0644 '$(TARGET_DIR)'/pages/man1/*.1 '$(SHARE)/man/man1'
	ln -sf online-update '$(DESTDIR)$(PREFIX)/bin/mbadm-online-update'
	ln -sf online-update.1 '$(SHARE)/man/man1/mbadm-online-update.1'

deb: build
	$(call need,$(DEB_PACKAGES))
	@cd '$(TOP)' && debian/rules clean >/dev/null && debian/rules binary && \
		debian/rules clean >/dev/null
	@ls '$(TOP)'/target/deb/*.deb

bench: build demo-deps
	@$(MAKE) --no-print-directory -C '$(TOP)/c-host' bench
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' \
		exec '$(PYTHON)' tests/bench/bench.py --peers "$$PEERS" $(BENCH_FLAGS)

scale: build demo-deps
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' '$(PYTHON)' tests/scale/scale.py $(SCALE_FLAGS)

replicate-bench: build demo-deps
	@cd '$(TOP)' && CHECKPOINT_ENGINE='$(ENGINE)' \
		'$(PYTHON)' tests/scale/replicate.py $(REPLICATE_FLAGS)

regenerate: build-deps rust
	$(call need,$(TEST_PACKAGES))
	cd '$(TOP)' && BLESS=1 cargo test --locked --features regenerate --test generated
	cd '$(TOP)' && BLESS=1 cargo test --locked --lib -- report::tests::documents report::tests::classic

clean:
	cd '$(TOP)' && cargo clean
	@$(MAKE) --no-print-directory -C '$(TOP)/c-host' clean
