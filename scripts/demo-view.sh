#!/usr/bin/env bash
# The demo's fourth pane: who leads, and who led before. When that is left with
# Ctrl+C, so is the demo.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

# The view takes Ctrl+C for a key; before it does, this is not to end alone.
trap : INT
# Servers do not end with the session, as nodes do. Who closed it reads nothing more.
[[ -z $DEMO_STORE ]] || trap 'exec &>/dev/null' HUP

status=0
"$LEADER_DEMO_BIN" watch "${election[@]}" || status=$?
if ((status && status != 130)); then
    echo "The view has ended with exit code $status. Enter stops the demo" >&2
    read -r || true
fi
exec "$here/kill-demo.sh"
