#!/usr/bin/env bash
# Which lines the tests run. cargo-llvm-cov needs the tools of the very LLVM that
# rustc has: rustup's, a Debian package's, or what LLVM_COV and LLVM_PROFDATA name.
set -euo pipefail

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools="rustup component add llvm-tools, or apt-get install llvm-$llvm"
if ! cargo llvm-cov --version >/dev/null 2>&1; then
    echo "error: cargo-llvm-cov is missing: cargo install cargo-llvm-cov; it needs LLVM's tools: $tools" >&2
    exit 1
fi
if [[ -z ${LLVM_COV:-} && ! -x $(rustc --print target-libdir)/../bin/llvm-cov ]]; then
    if ! command -v "llvm-cov-$llvm" >/dev/null; then
        echo "error: LLVM's tools are missing: $tools" >&2
        exit 1
    fi
    export LLVM_COV="llvm-cov-$llvm" LLVM_PROFDATA="llvm-profdata-$llvm"
fi
exec cargo llvm-cov "$@"
