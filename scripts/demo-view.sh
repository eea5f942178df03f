#!/usr/bin/env bash
# The demo's fourth pane: who leads, and who led before. When that is left with
# Ctrl+C, so is the demo.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

"$LEADER_DEMO_BIN" watch --lock-dir "$LOCK_DIR" --lock-name "$LOCK_NAME" || {
    echo "The view has ended with exit code $?. Enter stops the demo" >&2
    read -r
}
exec "$here/kill-demo.sh"
