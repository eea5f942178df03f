# shellcheck shell=bash disable=SC2034 # used by who sources this
# What the scripts of the demo agree on: which lock, which nodes, which tmux.
# Sourced, never run.
#
#   LOCK_DIR, LOCK_NAME, LEASE_DURATION   as the flags of leader-demo, with the
#       same defaults, so that a node started by hand joins the demo's election
#   LEADER_DEMO_BIN   the program to run, instead of building it
#   DEMO_STORE   etcd, redis or postgres: the lease is kept on a server of the
#       demo's own, see servers.sh; unset, in a directory

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
LOCK_DIR=$(realpath -sm -- "${LOCK_DIR:-${LEADER_DEMO_LOCK_DIR:-/tmp}}")
LOCK_NAME=${LOCK_NAME:-${LEADER_DEMO_LOCK_NAME:-leader-election-demo}}
DEMO_STORE=${DEMO_STORE:-}
# On a server nobody can see a leader die: that takes a lease, and is to be watched.
LEASE_DURATION=${LEASE_DURATION:-${LEADER_DEMO_LEASE_DURATION:-${DEMO_STORE:+5s}}}
LEASE_DURATION=${LEASE_DURATION:-10s}
export LOCK_DIR LOCK_NAME LEASE_DURATION DEMO_STORE

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# It becomes part of a path that kill-demo.sh removes.
case $LOCK_NAME in
.* | *[!A-Za-z0-9._-]*) die "LOCK_NAME '$LOCK_NAME' is no lock name: use A-Z a-z 0-9 . _ -, not a dot first" ;;
esac

# The directory that the demo removes at its end; what the flags of leader-demo say
# of its election; what people are told of where it is, and what a command shown to
# them needs before it, to be about this demo.
if [[ -z $DEMO_STORE ]]; then
    lock=$LOCK_DIR/$LOCK_NAME.lock
    election=(--lock-dir "$LOCK_DIR" --lock-name "$LOCK_NAME")
    target=demo-parallel where=$lock with=''
    [[ $lock = /tmp/leader-election-demo.lock ]] || printf -v with 'LOCK_DIR=%q LOCK_NAME=%s ' "$LOCK_DIR" "$LOCK_NAME"
else
    lock=$(realpath -m -- "${TMPDIR:-/tmp}")/$LOCK_NAME.$DEMO_STORE
    # shellcheck source=scripts/servers.sh
    . "$here/servers.sh"
    election=(--store "$url" --lock-name "$LOCK_NAME")
    target=demo-$DEMO_STORE where=${url:-$DEMO_STORE} with="DEMO_STORE=$DEMO_STORE "
    [[ $LOCK_NAME = leader-election-demo ]] || with+="LOCK_NAME=$LOCK_NAME "
fi

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
# open. What cannot be looked into, other users' processes, is left out. On a
# server only the demo's are known.
all_nodes() {
    local pid
    if [[ -n $DEMO_STORE ]]; then
        demo_nodes
        return
    fi
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

# Reads who leads into leader_id, leader_pid and leader_term. In a directory, the
# current record is the file with the highest number; it is a line of JSON.
read_leader() {
    local numbers=("$lock"/[0-9]*) record='' id='"held":\{"node_id":"([^"]+)"'
    leader_id='' leader_pid='' leader_term=''
    if [[ -n $DEMO_STORE ]]; then
        id='"leader":"([^"]+)"'
        record=$("$LEADER_DEMO_BIN" status --json "${election[@]}" 2>/dev/null) || return 1
    else
        IFS= read -r record 2>/dev/null <"${numbers[-1]}" || return 1
    fi
    [[ $record =~ $id ]] && leader_id=${BASH_REMATCH[1]} &&
        [[ $record =~ \"pid\":([0-9]+) ]] && leader_pid=${BASH_REMATCH[1]} &&
        [[ $record =~ \"term\":([0-9]+) ]] && leader_term=${BASH_REMATCH[1]} &&
        [[ -n $(state_of "$leader_pid") ]]
}

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
