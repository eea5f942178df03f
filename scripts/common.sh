# shellcheck shell=bash disable=SC2034 # used by who sources this
# What the scripts of the demo agree on: which lock, which nodes, which tmux.
# Sourced, never run.
#
#   LOCK_DIR, LOCK_NAME, LEASE_DURATION   as the flags of leader-demo, with the
#       same defaults, so that a node started by hand joins the demo's election
#   LEADER_DEMO_BIN   the program to run, instead of building it

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
LOCK_DIR=$(realpath -sm -- "${LOCK_DIR:-${LEADER_DEMO_LOCK_DIR:-/tmp}}")
LOCK_NAME=${LOCK_NAME:-${LEADER_DEMO_LOCK_NAME:-leader-election-demo}}
LEASE_DURATION=${LEASE_DURATION:-${LEADER_DEMO_LEASE_DURATION:-10s}}
export LOCK_DIR LOCK_NAME LEASE_DURATION

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# It becomes part of a path that kill-demo.sh removes.
case $LOCK_NAME in
.* | *[!A-Za-z0-9._-]*) die "LOCK_NAME '$LOCK_NAME' is no lock name: use A-Z a-z 0-9 . _ -, not a dot first" ;;
esac
lock=$LOCK_DIR/$LOCK_NAME.lock

# What a command shown to the user needs before it, to be about this lock.
with=''
[[ $lock = /tmp/leader-election-demo.lock ]] || printf -v with 'LOCK_DIR=%q LOCK_NAME=%s ' "$LOCK_DIR" "$LOCK_NAME"

# Every node of the demo has this in its environment, from birth to death. It
# is how they are told from nodes that somebody started by hand; a file of
# process ids could be stale, and a name could be anybody's.
mark=DEMO_PARALLEL_LOCK=$lock

# A tmux server for each lock, apart from the user's own and his settings.
socket=leader-demo-$(printf %s "$lock" | cksum | cut -d ' ' -f 1)
demo_tmux() { TMUX='' tmux -u -L "$socket" -f /dev/null "$@"; }
demo_session_exists() { command -v tmux >/dev/null && demo_tmux has-session -t demo 2>/dev/null; }

# The demo's nodes on this lock that live, stopped ones too: their process ids.
demo_nodes() {
    grep -slzxF -- "$mark" /proc/[0-9]*/environ | cut -d / -f 3 || true
}

# Whether a process only looks: that keeps the directory open, too.
watches() { [[ $(sed -zn 2p "/proc/$1/cmdline" 2>/dev/null | tr -d '\0') = watch ]]; }

# All nodes on this lock, whoever started them: each keeps the lock's directory
# open. What cannot be looked into, other users' processes, is left out.
all_nodes() {
    local pid
    for pid in $(all_users); do
        watches "$pid" || echo "$pid"
    done
}

all_users() {
    local device inode
    read -r device inode < <(stat -c '%d %i' -- "$lock" 2>/dev/null) || return 0
    # Not -samefile: for that, find(1) opens the directory itself.
    find -L /proc/[0-9]*/fd -maxdepth 1 -inum "$inode" -printf '%D%p\n' 2>/dev/null |
        sed -n "s|^$device/proc/\([0-9]*\)/.*|\1|p" | sort -un || true
}

# The state of a process as in ps(1), T when stopped; nothing when it is gone.
state_of() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null || true; }

# Reads who leads into leader_id, leader_pid and leader_term. The current
# record is the file with the highest number; it is a line of JSON.
read_leader() {
    local numbers=("$lock"/[0-9]*) record=''
    leader_id='' leader_pid='' leader_term=''
    IFS= read -r record 2>/dev/null <"${numbers[-1]}" || return 1
    [[ $record =~ \"held\":\{\"node_id\":\"([^\"]+)\" ]] && leader_id=${BASH_REMATCH[1]} &&
        [[ $record =~ \"pid\":([0-9]+) ]] && leader_pid=${BASH_REMATCH[1]} &&
        [[ $record =~ \"term\":([0-9]+) ]] && leader_term=${BASH_REMATCH[1]} &&
        [[ -n $(state_of "$leader_pid") ]]
}
