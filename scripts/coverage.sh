#!/usr/bin/env bash
# Which lines the tests run. cargo-llvm-cov needs the tools of the very LLVM that
# rustc has: rustup's, a Debian package's, or what LLVM_COV and LLVM_PROFDATA name.
# What is missing is installed: cargo-llvm-cov under target/, the tools by rustup.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if [[ -z ${LLVM_COV:-} && ! -x $(rustc --print target-libdir)/../bin/llvm-cov ]]; then
    llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    if command -v "llvm-cov-$llvm" >/dev/null; then
        export LLVM_COV="llvm-cov-$llvm" LLVM_PROFDATA="llvm-profdata-$llvm"
    elif ! { command -v rustup >/dev/null && rustup component add llvm-tools; }; then
        echo "error: LLVM's tools are missing: apt-get install llvm-$llvm" >&2
        exit 1
    fi
fi
if ! cargo llvm-cov --version >/dev/null 2>&1; then
    cargo install --quiet --locked --debug --root target/tools cargo-llvm-cov
    PATH=$PWD/target/tools/bin:$PATH
fi
# Who is killed while it writes its counts leaves half of them, which are left out.
exec cargo llvm-cov --failure-mode all "$@"
