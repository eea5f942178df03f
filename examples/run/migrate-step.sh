#!/usr/bin/env bash
# What migrate.sh runs as the leader: migrate-step.sh FILE VERSION COMMAND..
set -euo pipefail
die() {
    echo "error: $*" >&2
    exit 1
}
here=$(cd -- "$(dirname -- "$0")" && pwd)
file=$1 version=$2
shift 2

# The fence would make the file.
[[ -f $file ]] || die "there is no file $file"
# First the fence, then the look: what is read now, no earlier leader can change.
"$here/fenced-write.sh" --fence "$file"
word='' current=''
{ read -r _ && read -r word current; } <"$file" || true
[[ "$word $current" =~ ^version\ (0|[1-9][0-9]*)$ ]] ||
    die "$file has no version line: the second is to be 'version NUMBER'"
if ((current >= version)); then
    echo "$file is at version $current already"
    exit
fi
((current == version - 1)) ||
    die "$file is at version $current, from which this does not lead to $version"

# Whoever is killed in here has changed nothing; the next one starts again.
new=$(mktemp)
trap 'rm -f -- "$new"' EXIT
echo "version $version" >"$new"
tail -n +3 -- "$file" | "$@" >>"$new"

# One rename changes content, version and term. Were they changed one after the
# other, who is killed in between would have it done twice.
"$here/fenced-write.sh" "$file" <"$new"
echo "$file is at version $version now, migrated in term $LEADER_DEMO_TERM"
