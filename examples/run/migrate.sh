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
(($# >= 3)) || {
    echo 'usage: migrate.sh FILE VERSION COMMAND..' >&2
    exit 2
}
here=$(cd -- "$(dirname -- "$0")" && pwd)

# The lease says "one at a time", which is not "once": after the first has ended,
# the second leads. What makes it once is the version in the file.
exec leader-demo run \
    --lock-dir "$(dirname -- "$1")" --lock-name "$(basename -- "$1")" --wait 10m \
    -- "$here/migrate-step.sh" "$@"
