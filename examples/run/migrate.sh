#!/usr/bin/env bash
# A migration that is done once, by whichever machine gets there first. As part
# of a deployment, on all of them:
#
#   migrate.sh FILE VERSION COMMAND..       COMMAND turns the old content into the new
#   migrate.sh accounts 2 sed 's/$/,active/'
#
# FILE begins with the lines `term 0` and `version 1`. All copies of this wait for
# the one that leads (10 minutes, then they exit with 124), and end with 0 when
# FILE is at that version.
set -euo pipefail
[[ $# -ge 3 && $2 =~ ^[1-9][0-9]*$ ]] || {
    echo 'usage: migrate.sh FILE VERSION COMMAND..' >&2
    exit 2
}
[[ -f $1 ]] || {
    echo "error: there is no file $1" >&2
    exit 1
}
# By whatever link one comes to it: one file, one lock.
file=$(realpath -- "$1")
version=$2
shift 2
here=$(cd -- "$(dirname -- "$0")" && pwd)

# The lock has the name of the file and is beside it, so all machines agree, also
# if they mount it elsewhere. Not every file name is a lock name; then it gets one
# made from it. Should two files get the same, they only wait for each other.
name=${file##*/}
lock=$(printf %s "$name" | LC_ALL=C tr -c 'A-Za-z0-9._-' _)
if [[ $lock != "$name" || $lock == .* || ${#lock} -gt 100 ]]; then
    sum=$(printf %s "$name" | cksum)
    lock=file-${lock:0:60}-${sum%% *}
fi

# The lease says "one at a time", which is not "once": after the first has ended,
# the second leads. What makes it once is the version in the file.
exec leader-demo run \
    --lock-dir "$(dirname -- "$file")" --lock-name="$lock" --wait 10m \
    -- "$here/migrate-step.sh" "$file" "$version" "$@"
