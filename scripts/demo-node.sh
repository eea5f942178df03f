#!/usr/bin/env bash
# One node of the demo: demo-node.sh NAME. Says how it ended; in a terminal,
# Enter starts it again.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

name=$1

# Ctrl+C is for the node; this script goes on to say how that went.
trap : INT

if [[ -t 0 && -t 1 ]]; then
    stty -echo
    read -r _ columns < <(stty size)
    if ((columns < 100)); then
        # Seeing more lines is worth more than seeing their ends; but what goes
        # to stderr is rare, and to be read in full.
        printf '\e[?7l'
        exec 2> >(trap '' INT && exec sed -u $'s/.*/\e[?7h&\e[?7l/')
    fi
fi

# What people want to know is an event, on stdout; twice would be once too often.
export RUST_LOG=${RUST_LOG:-error}

# A child, not exec: tmux wakes a pane's own process as soon as it is stopped.
run() {
    local status=0
    # The shell has its own word on a killed child; ours is below.
    {
        env "$mark" "$LEADER_DEMO_BIN" --node-id "$name" "${election[@]}" \
            --lease-duration "$LEASE_DURATION" 2>&3 || status=$?
    } 3>&2 2>/dev/null
    if ((status > 128)); then
        echo "[$name] killed by SIG$(kill -l "$status")" >&2
    elif ((status)); then
        echo "[$name] ended with exit code $status" >&2
    fi
}

run
while [[ -t 0 ]]; do
    echo "[$name] has ended. Enter starts it again" >&2
    # What was typed while the node ran is not meant for here.
    while read -rsn 1 -t 0.01; do :; done
    until read -rs; do :; done
    run
done
