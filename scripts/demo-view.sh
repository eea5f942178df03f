#!/usr/bin/env bash
# The demo's fourth pane: who leads, and who led before. When that is left with
# Ctrl+C, so is the demo.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

# The view takes Ctrl+C for a key; before it does, this is not to end alone.
trap : INT

status=0
"$LEADER_DEMO_BIN" watch --lock-dir "$LOCK_DIR" --lock-name "$LOCK_NAME" || status=$?
if ((status && status != 130)); then
    echo "The view has ended with exit code $status. Enter stops the demo" >&2
    read -r || true
fi
exec "$here/kill-demo.sh"
