#!/usr/bin/env bash
# What a key of the demo does: demo-key.sh KEY. What there is to say about it is
# shown above the view for some seconds.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

ask_leader() { "$LEADER_DEMO_BIN" "$1" "${election[@]}"; }

# Nodes that run take no notice of Enter; the view neither.
start_again() { for pane in 0 1 2; do demo_tmux send-keys -t "demo:0.$pane" Enter; done; }

act() {
    case $1 in
    k) "$here/kill-leader.sh" -KILL ;;
    s) "$here/kill-leader.sh" -STOP ;;
    c) "$here/kill-leader.sh" -CONT ;;
    i) "$here/kill-leader.sh" -INT ;;
    h) ask_leader hand-over ;;
    r) ask_leader resign ;;
    a) start_again ;;
    m) "$here/kill-server.sh" ;;
    q) "$here/kill-demo.sh" ;;
    *) die "usage: demo-key.sh k|s|c|i|h|r|a|m|q" ;;
    esac
}

# Not by display-message: while it shows, all panes stand still. Another key's
# words may take the place of these meanwhile, and stay.
show() {
    demo_tmux set -g @said "$1" \; set -g @said-by $$ || return
    sleep 5
    [[ $(demo_tmux show -gv @said-by) != "$$" ]] || demo_tmux set -gu @said
}

said=$(act "$1" 2>&1) || true
# There is one line, for how it ended. tmux takes # for the beginning of a style.
said=${said##*$'\n'}
[[ -z $said ]] || show "${said//#/##}" 2>/dev/null || true
