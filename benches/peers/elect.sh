#!/usr/bin/env bash
# elect.sh NAME COMMAND ARGS..: runs a command while `etcdctl elect` leads. It prints its
# key and its proposal when it is elected, and resigns when it is interrupted.
coproc elected { exec etcdctl elect "$1" "$BASHPID"; }
elect=$!
shift
read -r <&"${elected[0]}" && read -r <&"${elected[0]}" || exit
"$@" &
command=$!
trap 'kill "$command" 2>/dev/null' TERM
# Whichever ends first takes the other along.
wait -n "$command" "$elect"
kill "$command" 2>/dev/null
kill "$elect" 2>/dev/null
wait
