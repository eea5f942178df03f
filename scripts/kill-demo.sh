#!/usr/bin/env bash
# Ends the demo: stops its nodes, and removes the lock directory unless another
# node still uses it. Nothing else may ever remove that. On a store (DEMO_STORE),
# kills its servers and removes what they kept.
#
# kill-demo.sh all: also those on stores, where DEMO_STORE does not say which.
set -euo pipefail
shopt -s extglob nullglob
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

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
    if [[ -z $DEMO_STORE ]] && ! within 1 unused; then
        echo "Kept $lock: another node still uses it ($(all_nodes | xargs ps -o pid=,args= -p))."
        return
    fi
    # Moved away first: in a directory half removed, an old number would be
    # the highest.
    mv -T -- "$lock" "$lock.removed-$$" || return 0
    rm -rf -- "$lock.removed-$$"
    echo "Removed $lock."
}

others=()
if [[ ${1:-} = all && -z $DEMO_STORE ]]; then
    others=("$(realpath -m -- "${TMPDIR:-/tmp}")/$LOCK_NAME".@(etcd|redis|postgres))
fi
for other in "${others[@]}"; do
    [[ ! -O $other ]] || DEMO_STORE=${other##*.} "$here/kill-demo.sh"
done
if [[ -z $(demo_nodes) && ! -e $lock ]]; then
    ((${#others[@]})) || echo "Nothing to stop: no demo, and no $lock."
fi
stop_nodes
[[ -z $DEMO_STORE ]] || stop_servers
remove_lock
# Last, because this may run in one of its panes.
if demo_session_exists; then
    demo_tmux kill-server
fi
