#!/usr/bin/env bash
# Which lines the tests run. cargo-llvm-cov needs the tools of the very LLVM that
# rustc has: rustup's, a Debian package's, or what LLVM_COV and LLVM_PROFDATA name.
set -euo pipefail

cargo llvm-cov --version >/dev/null 2>&1 || {
    echo 'error: cargo-llvm-cov is missing: cargo install cargo-llvm-cov' >&2
    exit 1
}
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
if [[ -z ${LLVM_COV:-} && ! -x $(rustc --print target-libdir)/../bin/llvm-cov ]]; then
    if ! command -v "llvm-cov-$llvm" >/dev/null; then
        echo "error: LLVM's tools are missing: rustup component add llvm-tools, or apt-get install llvm-$llvm" >&2
        exit 1
    fi
    export LLVM_COV="llvm-cov-$llvm" LLVM_PROFDATA="llvm-profdata-$llvm"
fi
exec cargo llvm-cov "$@"
