#!/usr/bin/env bash
# Kills a server of the demo with -9, and the next time starts it again:
# DEMO_STORE=etcd kill-server.sh. Of etcd's members it is the one that leads the
# others, which go on.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

[[ -n $DEMO_STORE ]] || die 'usage: DEMO_STORE=etcd|redis|postgres kill-server.sh'
[[ -n $url ]] || die "no demo on $DEMO_STORE runs"

# Who is in a hurry presses the key twice.
exec 9<"$lock"
flock 9
for member in "${members[@]}"; do
    if ! member_runs "$member"; then
        start_member "$member"
        echo "started $member again"
        exit
    fi
done
member=${members[0]} what=''
if [[ $DEMO_STORE = etcd ]]; then
    leader=$(raft_leader)
    [[ -z $leader ]] || member=$leader what=', which led the three'
fi
kill_member "$member"
echo "kill -KILL $member$what"
