#!/usr/bin/env bash
# Shows what a term is for. An old leader is frozen in the middle of its work,
# as a paused virtual machine is; another leads and writes; the old one wakes,
# writes too late, and is refused. Takes a few seconds, leaves nothing.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
PATH=$here:$PATH
cd "$(mktemp -d)"
node=()
cleanup() {
    ((${#node[@]} == 0)) || kill -KILL "${node[@]}" 2>/dev/null || true
    rm -r -- "$PWD"
}
trap cleanup EXIT

lead=(leader-demo run --lock-dir . --lease-duration 2s --exit-on-loss)
say() { printf '\n== %s\n' "$*"; }

cat >old-leader <<'END'
echo 'written by the old leader' | fenced-write.sh report
echo $PPID $$ >pids
until [ -e go ]; do sleep 0.1; done
echo 'written LATE by the old leader' | fenced-write.sh report
END
cat >new-leader <<'END'
echo 'written by the new leader' | fenced-write.sh report
END

say 'The old leader writes, and prepares to write again.'
"${lead[@]}" --node-id old -- sh old-leader &
node=($!)
until [[ -s pids ]]; do sleep 0.1; done
read -r guard command <pids
node+=("$guard" "$command")
cat report

say 'Its whole machine is paused: the command, and all that would have stopped it.'
kill -STOP "${node[@]}"

# On one machine the new leader would wait until the old command is gone. On
# another it could not see it; --start-anyway-after makes this one as blind.
say 'When the lease is over, another leads and writes.'
"${lead[@]}" --node-id new --start-anyway-after 0s -- sh new-leader
cat report

say 'The old command wakes up, and writes.'
touch go
kill -CONT "$command"
# It remains a zombie, as nobody else there is awake.
until grep -q '^State:.Z' "/proc/$command/status"; do sleep 0.1; done
kill -CONT "${node[@]:0:2}"
wait "${node[0]}" || echo "the old leader ends with $?"
node=()

say "The report is still the new leader's."
cat report
grep -qx 'written by the new leader' report
