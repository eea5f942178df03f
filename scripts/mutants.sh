#!/usr/bin/env bash
# Breaks the rules and the file store, one expression at a time, and names each
# break that no test notices. All of it takes hours; arguments are cargo-mutants'
# own: make mutants ARGS='--list', or ARGS='-F Election::expire'
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if ! cargo mutants --version >/dev/null 2>&1; then
    # In debug: the tests it waits for are what takes the time.
    cargo install --quiet --locked --debug --root target/tools cargo-mutants
    PATH=$PWD/target/tools/bin:$PATH
fi

failed=0
# The searches of the model find what the other tests of the rules find, slowly.
cargo mutants --output target/mutants-rules --cargo-arg=--lib \
    --file src/election.rs --file src/election/sight.rs --file src/request.rs --file 'src/request/*.rs' \
    --file src/timing.rs --file src/lease.rs \
    "$@" -- -- --skip model || failed=$?
# What surrounds the store does not know its files.
cargo mutants --output target/mutants-store \
    --cargo-arg=--lib --cargo-arg=--test=file_store --cargo-arg=--test=store_contract \
    --cargo-arg=--test=file_work --cargo-arg=--test=faults --cargo-arg=--test=file_store_calls \
    --cargo-arg=--test=file_store_directory --cargo-arg=--test=cli --cargo-arg=--test=failover \
    --cargo-arg=--test=doctor \
    --file src/store/file.rs --file 'src/store/file/*.rs' \
    "$@" -- -- --skip election --skip driver --skip observer || failed=$?
exit "$failed"
