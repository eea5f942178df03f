#!/usr/bin/env bash
# The demo's fourth pane: who leads, and what to try, a key each.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

# What fits the narrowest terminal, then what is worth the room of a larger one.
draw() {
    local rows leads='No leader'
    read -r rows _ < <(stty size)
    if read_leader; then
        leads="Leader: $leader_id (pid $leader_pid, term $leader_term)"
        [[ $(state_of "$leader_pid") != T ]] || leads+=' stopped'
    fi
    local lines=(
        "$leads   $last"
        ' k  kill -9 the leader: another at once    s  SIGSTOP it: another after '"$LEASE_DURATION"
        ' i  Ctrl+C it: it gives the lease back     c  SIGCONT: it steps down first'
        ' r  start the dead again (or Enter there)  Tab  next pane, for your own Ctrl+C'
        ' q  stop all and clean up                  d  leave; the nodes go on'
        ''
        'By hand, in another terminal:'
        "  kill -9 ${leader_pid:-PID}"
        "  ${with}scripts/kill-leader.sh -STOP"
        "  ${with}make run NODE_ID=node-4"
    )
    printf '\e[H%s\e[K' "${lines[0]}"
    printf '\n%s\e[K' "${lines[@]:1:rows-1}"
}

signal_leader() { last=$("$here/kill-leader.sh" "$1" 2>&1) || true; }

# Nodes that run take no notice of Enter.
restart() {
    local pane
    for pane in $(demo_tmux list-panes -t demo -F '#{pane_id}'); do
        [[ $pane = "$TMUX_PANE" ]] || demo_tmux send-keys -t "$pane" Enter
    done
}

leave() { exec "$here/kill-demo.sh"; }

trap leave INT
printf '\e[?25l\e[?7l' # no cursor, no line wrap
last=''
while true; do
    draw
    key=''
    IFS= read -rsn 1 -t 1 key || true
    case $key in
    k) signal_leader -KILL ;;
    s) signal_leader -STOP ;;
    c) signal_leader -CONT ;;
    i) signal_leader -INT ;;
    r) restart ;;
    d) demo_tmux detach-client ;;
    q) leave ;;
    esac
done
