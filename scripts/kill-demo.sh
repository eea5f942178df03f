#!/usr/bin/env bash
# Ends the demo: stops its nodes, and removes the lock directory unless another
# node still uses it. Nothing else may ever remove that.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

# Waits up to a number of seconds for a command to succeed.
within() {
    local tries=$(($1 * 20))
    shift
    until "$@"; do
        ((tries-- > 0)) || return 1
        sleep 0.05
    done
}

# Dying takes a moment, in which a process has lost its environment but not yet
# its files.
gone() {
    local pid
    for pid in "$@"; do
        [[ $(state_of "$pid") = [ZX]* || ! -e /proc/$pid ]] || return 1
    done
}

stop_nodes() {
    local pids
    mapfile -t pids < <(demo_nodes)
    ((${#pids[@]})) || return 0
    # A stopped process takes no notice before it is continued.
    kill -TERM "${pids[@]}" 2>/dev/null || true
    kill -CONT "${pids[@]}" 2>/dev/null || true
    if ! within 3 gone "${pids[@]}"; then
        mapfile -t pids < <(demo_nodes)
        ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
        within 3 gone "${pids[@]}" || die "these do not die: ${pids[*]}"
    fi
    echo "Stopped ${#pids[@]} nodes."
}

# No process has the directory open, and no claim in it is locked: a node holds
# both. The locks also speak for nodes of other users and other containers.
unused() {
    local claim
    [[ -z $(all_nodes) ]] || return 1
    for claim in "$lock"/claims/*; do
        if [[ -f $claim ]]; then
            flock --nonblock --shared 9 9<"$claim" || return 1
        fi
    done
}

remove_lock() {
    [[ -d $lock && ! -L $lock ]] || return 0
    if ! within 1 unused; then
        echo "Kept $lock: another node still uses it ($(all_nodes | xargs ps -o pid=,args= -p))."
        return
    fi
    # Moved away first: in a directory half removed, an old number would be
    # the highest.
    mv -T -- "$lock" "$lock.removed-$$" || return 0
    rm -rf -- "$lock.removed-$$"
    echo "Removed $lock."
}

if [[ -z $(demo_nodes) && ! -e $lock ]]; then
    echo "Nothing to stop: no demo, and no $lock."
fi
stop_nodes
remove_lock
# Last, because this may run in one of its panes.
if demo_session_exists; then
    demo_tmux kill-server
fi
