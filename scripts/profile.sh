#!/usr/bin/env bash
# Where a node spends its time on the CPU: target/profile/flame.svg.
#
#   DURATION   how long to look, 10s
#   LEADER_DEMO_BIN   the program to profile, instead of building it
set -euo pipefail
[[ -z ${LEADER_DEMO_BIN:-} ]] || LEADER_DEMO_BIN=$(realpath -- "$LEADER_DEMO_BIN")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
duration=${DURATION:-10s}
out=target/profile

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

command -v perf >/dev/null || die 'perf is missing: apt-get install linux-perf'
command -v inferno-flamegraph >/dev/null || die 'inferno is missing: cargo install inferno'

if [[ -z ${LEADER_DEMO_BIN:-} ]]; then
    # As it is released, but with names, and with frames that perf can walk.
    export CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
    RUSTFLAGS="${RUSTFLAGS:-} -C force-frame-pointers=yes" \
        cargo build --release --bin leader-demo --target-dir "$out/build"
    LEADER_DEMO_BIN=$out/build/release/leader-demo
fi

mkdir -p "$out"
locks=$(mktemp -d)
trap 'kill "${nodes[@]}" 2>/dev/null; wait; rm -rf -- "$locks"' EXIT

# As it is by default a node hardly works: it renews some thousand times as often.
node() {
    "$LEADER_DEMO_BIN" --node-id "$1" --lock-dir "$locks" \
        --lease-duration 1s --retry-period 2ms >/dev/null &
    nodes+=($!)
}
nodes=()
node leader
node follower

# A timer, as a virtual machine may have no counter of cycles.
perf record --quiet --event cpu-clock --freq 4999 --call-graph fp --output "$out/perf.data" \
    --pid "$(IFS=,; echo "${nodes[*]}")" -- sleep "$duration" ||
    die 'perf may not look: be root, or sysctl kernel.perf_event_paranoid=1'
perf script --input "$out/perf.data" 2>/dev/null | inferno-collapse-perf >"$out/stacks"
[[ -s $out/stacks ]] || die 'nothing was seen: give it more time, DURATION=1m'
inferno-flamegraph --title "leader-demo, $duration" <"$out/stacks" >"$out/flame.svg"
echo "$out/flame.svg: open it in a browser"
