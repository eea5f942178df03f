#!/usr/bin/env bash
# A cron job that many machines have and one of them does. The same line on all:
#
#   */5 * * * *  cron-job.sh /shared/locks report  make-report --all
#
# That is: cron-job.sh LOCK_DIR NAME COMMAND.., and HOLD_FOR if a minute is wrong.
set -euo pipefail
(($# >= 3)) || {
    echo 'usage: cron-job.sh LOCK_DIR NAME COMMAND..' >&2
    exit 2
}
dir=$1 name=$2
shift 2

options=(
    # Another machine does it: do not wait for one's turn to do it again.
    --try
    # That is no failure: exit with 0, so that cron sends no mail. A job that
    # fails exits with its own status, on the machine where it ran.
    --skip-ok
    # Clocks differ, and cron may be late. Who comes when the job is done already
    # must still find it taken: longer than those differences, and together with
    # the job shorter than the time between two.
    --hold-for "${HOLD_FOR:-1m}"
)
exec leader-demo run --lock-dir "$dir" --lock-name "$name" "${options[@]}" -- "$@"
