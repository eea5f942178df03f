#!/usr/bin/env bash
# A resource that refuses whoever leads no longer: a file that remembers the
# highest term it has seen, in its first line.
#
#   fenced-write.sh FILE <CONTENT     replaces what comes after that line
#   fenced-write.sh --fence FILE      leaves it; do this before you read FILE, as
#                                     from then on no earlier leader can change it
#
# LEADER_DEMO_TERM is the writer's term, as set by leader-demo run. Exits with 1,
# and changes nothing, if that is lower than the file's.
#
# Why: no lease can promise that the old leader is gone. A machine that is paused
# in the middle of a write finishes it when it wakes up. In SQL the same would be
#   UPDATE report SET content = :content, term = :term WHERE term <= :term
set -euo pipefail
die() {
    echo "fenced-write.sh: $*" >&2
    exit 1
}
fence=
[[ ${1:-} != --fence ]] || { fence=yes && shift; }
(($# == 1)) || die 'usage: fenced-write.sh [--fence] FILE'
# Through a symbolic link the file behind it is written; the link stays.
file=$(realpath -- "$1")
term=${LEADER_DEMO_TERM:-}
[[ $term =~ ^[0-9]+$ ]] || die 'no LEADER_DEMO_TERM: start this with leader-demo run -- ..'

new=$file.$term.$$
trap 'rm -f -- "$new"' EXIT
# Nobody else may read it before it has FILE's mode.
(umask 077 && : >"$new")
# What may take long is done before the lock is taken.
[[ -n $fence ]] || { echo "term $term" && cat; } >"$new"

# Look, compare, replace, with nobody in between. The lock is a file of its own,
# as each rename makes FILE another one; it stays, so never remove it.
exec 9>>"$file.fence"
flock 9
highest=0
if [[ -e $file ]]; then
    read -r word highest <"$file" || true
    [[ "$word $highest" =~ ^term\ [0-9]+$ ]] || die "the first line of $1 is no term"
fi
((term >= highest)) || die "refused: term $term is over, $1 has seen term $highest"
if [[ -n $fence ]]; then
    { echo "term $term" && { [[ ! -e $file ]] || tail -n +2 -- "$file"; }; } >"$new"
fi
# FILE keeps its mode, and where that is permitted its owner and group.
if [[ -e $file ]]; then
    cp --attributes-only --preserve=mode,ownership -- "$file" "$new"
else
    chmod '=rw' -- "$new"
fi
# On the disk before it has the name; then the name itself.
sync -- "$new"
mv -f -- "$new" "$file"
sync -- "$(dirname -- "$file")"
