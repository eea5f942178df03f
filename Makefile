# Everything here is a name for what cargo and scripts/ do; cargo knows best what
# is up to date. `make` lists the targets.
#
# For tests of this file: LEADER_DEMO_BIN is a program to run as it is.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help build demo run run-node1 run-node2 run-node3 demo-parallel demo-etcd demo-redis demo-postgres kill-demo \
	test test-coverage test-stores test-race sim sim-scale stress-run chaos fuzz mutants bench bench-peers deps-peers deps-stores profile check install uninstall clean

# Which lock, for every target that runs nodes; unset, the program's defaults.
ifdef LOCK_DIR
export LEADER_DEMO_LOCK_DIR := $(LOCK_DIR)
endif
ifdef LOCK_NAME
export LEADER_DEMO_LOCK_NAME := $(LOCK_NAME)
endif
ifdef LEASE_DURATION
export LEADER_DEMO_LEASE_DURATION := $(LEASE_DURATION)
endif

node := $(or $(LEADER_DEMO_BIN),cargo run --quiet --)
ROUNDS ?= 5

help: ## This list
	@awk -F ':.*## ' '/^[a-z].*:.*## / { printf "  %-32s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: LOCK_DIR LOCK_NAME LEASE_DURATION NODE_ID ARGS ROUNDS DURATION SEED SEEDS ELECTIONS NODES STORE PREFIX DESTDIR"

build: ## Build the program
	cargo build

demo: ## One node, and what to try next
	@echo 'One node leads alone. Next:'
	@echo '  make run-node2        in another terminal: it follows, until you press Ctrl+C here'
	@echo '  make demo-parallel    three nodes side by side, and keys to kill the leader'
	@echo
	@$(node) --node-id node-1

run: ## One node: make run NODE_ID=node-4 ARGS='--log-format json'
ifndef NODE_ID
	@echo 'error: NODE_ID is missing, for example: make run NODE_ID=node-4' >&2; exit 2
else
	@$(node) --node-id '$(NODE_ID)' $(ARGS)
endif

run-node1 run-node2 run-node3: run-node%: ## A node each, for three terminals
	@$(node) --node-id node-$* $(ARGS)

demo-parallel: ## Three nodes in tmux, and what to try (without tmux: right here)
	@scripts/demo-parallel.sh

demo-etcd: ## The same on three etcd members of its own, and a key that kills one
demo-redis demo-postgres: ## The same on one server of its own, and a key that kills it
demo-etcd demo-redis demo-postgres: demo-%:
	@DEMO_STORE=$* scripts/demo-parallel.sh

kill-demo: ## Stop the demos' nodes and servers, and remove what they kept
	@scripts/kill-demo.sh all

test: ## All tests but those on servers
	cargo test

test-coverage: ## Which lines the tests run, file by file (installs what it needs)
	@scripts/coverage.sh

test-stores: ## All tests of etcd, Redis and PostgreSQL, on real servers (deps-stores)
	cargo test --features full --test store_contract --test store_faults \
		--test store_etcd --test store_redis --test store_postgres --test store_cli \
		--test doctor_stores
	cargo test --features full --lib store::
	cargo test --features full --test make the_demo_on
	@for store in etcd redis postgres; do \
		CHAOS_STORE=$$store CHAOS_DURATION=20s CHAOS_ELECTIONS=3 \
			cargo test --features full --test chaos at_most_one || exit; \
	done

test-race: ## Every interleaving of the rules; ROUNDS=5 of the concurrency tests
	MODEL_DEPTH=deep cargo test --release --lib model -- --nocapture
	@for ((round = 1; round <= $(ROUNDS); round++)); do \
		echo "== round $$round of $(ROUNDS)"; \
		cargo test --release --test store_contract --test failover || exit; \
	done

sim: ## Elections under faults on virtual time: SEEDS=10000; SEED=7 tells that one
	@$(if $(SEED),SIM_SEED='$(SEED)') SIM_SEEDS='$(or $(SEEDS),10000)' \
		cargo test --profile simulation --test simulation

sim-scale: ## What 1 to 1,000 candidates cost: writes docs/SCALE.md and docs/scale.svg
	@SIM_SCALE=write cargo test --quiet --profile simulation --test scale

stress-run: ## Kill and freeze `run` at random: DURATION=10m SEED=7 NODES=4 STORE=redis
	@STRESS_DURATION='$(or $(DURATION),1m)' \
		$(if $(SEED),STRESS_SEED='$(SEED)') $(if $(NODES),STRESS_NODES='$(NODES)') \
		$(if $(STORE),STRESS_STORE='$(STORE)') \
		cargo test --quiet $(if $(STORE),--features full) --test stress_run

chaos: ## Hurt real nodes, and their store, at random: DURATION=10m SEED=7 NODES=5 STORE=etcd
	@CHAOS_DURATION='$(or $(DURATION),1m)' \
		$(if $(SEED),CHAOS_SEED='$(SEED)') $(if $(NODES),CHAOS_NODES='$(NODES)') \
		$(if $(ELECTIONS),CHAOS_ELECTIONS='$(ELECTIONS)') $(if $(STORE),CHAOS_STORE='$(STORE)') \
		cargo test --quiet $(if $(filter-out file:%,$(STORE)),--features full) --test chaos at_most_one -- --nocapture

fuzz: ## Damaged records, listings, logs, requests, durations: DURATION=1m for each, SEED=7
	@FUZZ_DURATION='$(or $(DURATION),1m)' $(if $(SEED),FUZZ_SEED='$(SEED)') \
		cargo test --quiet --test fuzz -- --nocapture

mutants: ## Break each rule on purpose: no test may miss it (installs cargo-mutants; hours)
	@scripts/mutants.sh $(ARGS)

bench: ## Measure, side by side with flock(1)
	cargo bench --bench speed -- $(ARGS)

bench-peers: ## Beside etcd, Redis, ZooKeeper, PostgreSQL: fifteen minutes; writes docs/PEERS.md
	cargo bench --features full --bench peers -- $(ARGS)

deps-peers: ## Install what bench-peers compares with (Debian packages)
	@scripts/deps-peers.sh

deps-stores: ## Install the servers of test-stores and the demos (Debian packages)
	@scripts/deps-stores.sh

check: ## What CI runs: formatting, lints, documentation, tests
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features full -- -D warnings
	@for feature in '' completions etcd http postgres redis simulate view; do \
		echo "cargo clippy, with feature '$$feature' alone"; \
		cargo clippy --quiet --locked --lib --bins --no-default-features --features "$$feature" -- -D warnings || exit; \
	done
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps
	@$(MAKE) --no-print-directory test test-stores

profile: ## A flame graph of a node at work: DURATION=10s (needs perf and inferno)
	@scripts/profile.sh

install: ## Install program, completions and man pages, under PREFIX if given
	@scripts/install.sh

uninstall: ## Remove what install installed
	@scripts/install.sh uninstall

clean: ## Remove what was built
	cargo clean
