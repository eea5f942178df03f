#!/usr/bin/env bash
# Sends the current leader a signal: kill-leader.sh [-9 | -STOP | -CONT | -INT]
#
# -9 unless told otherwise. -CONT goes to whoever was stopped: by then, another
# may lead.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

signal=${1:--9}
[[ $signal =~ ^-[A-Z0-9]+$ && $# -le 1 ]] || die 'usage: kill-leader.sh [-9 | -STOP | -CONT | -INT]'

if [[ $signal = -CONT ]]; then
    for pid in $(all_nodes); do
        if [[ $(state_of "$pid") = T ]]; then
            kill -CONT "$pid"
            echo "kill -CONT $pid"
            found=yes
        fi
    done
    [[ -n ${found:-} ]] || die "no node of $where is stopped"
    exit
fi

read_leader || die "nobody leads on $where"
# The record is only as good as who wrote it: signal no process that has
# nothing to do with this lock.
grep -qx "$leader_pid" < <(all_nodes) || die "process $leader_pid, of which $where speaks, is no node here"
kill "$signal" "$leader_pid"
echo "kill $signal $leader_pid"
