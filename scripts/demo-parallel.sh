#!/usr/bin/env bash
# Three nodes, one leader: in tmux; without tmux or a terminal, right here.
# LOCK_DIR, LOCK_NAME and LEASE_DURATION are the flags of leader-demo. With
# DEMO_STORE, on servers of its own: etcd, redis or postgres.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname -- "$0")/common.sh"

# Once, before three nodes would each want to.
build() {
    if [[ -z ${LEADER_DEMO_BIN:-} ]]; then
        LEADER_DEMO_BIN=$(cd "$here/.." &&
            cargo build --bin leader-demo ${DEMO_STORE:+--features "$DEMO_STORE"} --message-format=json-render-diagnostics |
            sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    fi
    export LEADER_DEMO_BIN
    [[ -x $LEADER_DEMO_BIN ]] || die "LEADER_DEMO_BIN '$LEADER_DEMO_BIN' is not a program"
}

# What the nodes need. Servers do not end by themselves.
prepare() {
    [[ -z $DEMO_STORE ]] || need_servers
    build
    if [[ -n $DEMO_STORE ]]; then
        mkdir -m 711 -- "$lock" ||
            die "the demo on $where already runs, or was not cleaned up: ${with}make kill-demo ends it"
        trap '"$here/kill-demo.sh" >/dev/null' EXIT
        start_servers
    fi
}

# --- in tmux ---

# What the keys do, for the line at the bottom: all of it, or what fits 80 columns.
long='k kill -9 the leader  s SIGSTOP it  c SIGCONT  i Ctrl+C it  h hand over  r resign  a start again  d leave  q end all'
short='k kill -9  s stop  c cont  h hand over  r resign  a again  d leave  q end'
if [[ -n $DEMO_STORE ]]; then
    server='the server'
    [[ $DEMO_STORE != etcd ]] || server='an etcd member'
    long="m kill -9 $server, start it  $long"
    short="m ${server##* }  k kill -9  s stop  c cont  h hand over  r resign  a again  q end"
fi

# Above each pane its title; above the view, for a while, what a key has done.
title=' #{?#{&&:#{pane_at_bottom},#{@said}},#[reverse] #{@said} #[noreverse],#{pane_title}} '

# A fifth to each node, the rest to the view.
share=(
    select-layout -t demo even-vertical \;
    resize-pane -t demo:0.0 -y 20% \; resize-pane -t demo:0.1 -y 20% \; resize-pane -t demo:0.2 -y 20%
)

# In a server of its own, without the user's settings: his sessions stay as
# they are, and no key of ours needs a prefix, so it works inside them too.
open_session() {
    local rows columns name key keys=$long
    read -r rows columns < <(stty size)
    ((columns > ${#long})) || keys=$short
    demo_tmux start-server \; \
        set -g mouse on \; set -g history-limit 10000 \; \
        set -g default-terminal screen \; set -g escape-time 20 \; \
        set -g pane-border-status top \; set -g pane-border-format "$title" \; \
        set -g status-style default \; set -g status-left "$keys" \; set -g status-left-length 200 \; \
        set -g status-right '' \; set -g window-status-format '' \; set -g window-status-current-format '' \; \
        bind -n Tab select-pane -t :.+ \; bind -n d detach-client \; \
        new-session -d -s demo -x "$columns" -y "$rows" -- "$here/demo-node.sh" node-1 \; \
        select-pane -T node-1
    for key in k s c i h r a q ${DEMO_STORE:+m}; do
        demo_tmux bind -n "$key" run-shell -b "$(printf %q "$here/demo-key.sh") $key"
    done
    for name in node-2 node-3; do
        demo_tmux split-window -t demo -- "$here/demo-node.sh" "$name" \; \
            select-pane -T "$name" \; select-layout even-vertical
    done
    demo_tmux split-window -t demo -- "$here/demo-view.sh" \; select-pane -T 'who leads'
    # Before tmux 3.1 there are no shares, before 3.3 no such hook.
    demo_tmux "${share[@]}" 2>/dev/null || true
    demo_tmux set-hook -g window-resized "${share[*]}" 2>/dev/null || true
}

run_in_tmux() {
    if ! demo_session_exists; then
        prepare
        open_session
        trap - EXIT
    fi
    demo_tmux attach -t demo || true
    if demo_session_exists; then
        echo "The demo goes on: ${with}make $target returns to it, ${with}make kill-demo ends it."
        return
    fi
    # Also if the session was not ended by the demo.
    [[ -z $DEMO_STORE || ! -d $lock ]] || "$here/kill-demo.sh"
    if [[ -d $lock ]]; then
        echo "The demo has ended; $lock is still there: ${with}make kill-demo says why."
    else
        echo 'The demo has ended.'
    fi
}

# --- here ---

# Runs a node, with its name before each line.
run_labelled() {
    local before="$1 | "
    if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
        before=$'\e['"$2m$1 |"$'\e[0m '
    fi
    "$here/demo-node.sh" "$1" 2>&1 </dev/null | sed -u "s/^/$before/"
}

signal_nodes() {
    local pids
    mapfile -t pids < <(demo_nodes)
    if ((${#pids[@]})); then
        kill "-$1" "${pids[@]}" 2>/dev/null || true
    fi
}

run_here() {
    local soon='at once'
    prepare
    [[ -z $DEMO_STORE ]] || soon="after $LEASE_DURATION"
    echo "Three nodes on $where. Ctrl+C stops them all. From another terminal:"
    if [[ -n $DEMO_STORE ]]; then
        echo "  ${with}scripts/kill-server.sh          kill a server with -9; the next time, start it again"
    fi
    cat <<EOT
  ${with}scripts/kill-leader.sh -9       kill the leader: another leads $soon
  ${with}scripts/kill-leader.sh -STOP    freeze it: another leads after $LEASE_DURATION
  ${with}scripts/kill-leader.sh -CONT    wake it: it steps down before anything else

EOT
    # Jobs get process groups of their own: Ctrl+C reaches this script alone, and
    # each node is told to stop once. Told twice, it would not clean up.
    set -m
    run_labelled node-1 32 &
    run_labelled node-2 33 &
    run_labelled node-3 36 &
    # A stopped process takes no notice before it is continued.
    trap 'signal_nodes TERM; signal_nodes CONT' INT TERM HUP
    while [[ -n $(jobs -pr) ]]; do
        wait || true
    done
}

if [[ -t 0 && -t 1 ]] && command -v tmux >/dev/null; then
    run_in_tmux
elif demo_session_exists || [[ -n $(demo_nodes) ]]; then
    die "the demo on $where already runs (processes $(demo_nodes | xargs)): ${with}make kill-demo ends it"
else
    run_here
fi
