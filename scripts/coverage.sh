#!/usr/bin/env bash
# Which lines the tests run. LLVM_COV and LLVM_PROFDATA name the tools of the
# LLVM that rustc has; otherwise those of a Debian package or of rustup are used.
set -euo pipefail

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
if [[ -z ${LLVM_COV:-} ]] && command -v "llvm-cov-$llvm" >/dev/null; then
    LLVM_COV=llvm-cov-$llvm LLVM_PROFDATA=llvm-profdata-$llvm
    LLVM_COV=$(command -v "$LLVM_COV") LLVM_PROFDATA=$(command -v "$LLVM_PROFDATA")
    export LLVM_COV LLVM_PROFDATA
fi
