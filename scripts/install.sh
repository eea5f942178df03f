#!/usr/bin/env bash
# Installs the program, its completions and its man pages, or removes them:
# install.sh [uninstall]. Under PREFIX if given; else as `cargo install` does it, and
# what shells read below the home directory.
#
#   DESTDIR   where PREFIX will be, for who makes packages
#   LEADER_DEMO_BIN   the program to install, instead of building it
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

if [[ -n ${PREFIX:-} ]]; then
    [[ $PREFIX = /* ]] || PREFIX=$PWD/$PREFIX
    root=${DESTDIR:-}$PREFIX
    share=$root/share
    zsh_reads=$PREFIX/share/zsh/site-functions
else
    [[ -z ${DESTDIR:-} ]] || die 'DESTDIR needs a PREFIX, for example PREFIX=/usr'
    root=${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}
    share=${XDG_DATA_HOME:-$HOME/.local/share}
    zsh_reads=$share/zsh/site-functions
fi
program=$root/bin/leader-demo
bash=$share/bash-completion/completions/leader-demo
zsh=$share/zsh/site-functions/_leader-demo
fish=$share/fish/vendor_completions.d/leader-demo.fish
# Beside the program: man(1) looks there for whatever is on the PATH.
man=$root/share/man/man1

install_program() {
    if [[ -n ${LEADER_DEMO_BIN:-} ]]; then
        install -D -m 755 -- "$LEADER_DEMO_BIN" "$program"
    elif [[ -n ${PREFIX:-} ]]; then
        # No notes of cargo's among what a package or /usr/local is made of.
        cargo install --path "$here/.." --locked --no-track --force --root "$root"
    else
        cargo install --path "$here/.." --locked
    fi
}

remove_program() {
    # cargo keeps a list of what it installed.
    if grep -qs '^"leader-demo ' -- "$root/.crates.toml"; then
        cargo uninstall --quiet --root "$root" leader-demo
    fi
    rm -f -- "$program"
}

install_all() {
    local page shell
    install_program
    pages=$(mktemp -d)
    trap 'rm -rf -- "$pages"' EXIT
    "$program" man-pages "$pages"
    for page in "$pages"/*.1; do
        install -D -m 644 -- "$page" "$man/${page##*/}"
    done
    for shell in bash zsh fish; do
        "$program" completions "$shell" >"$pages/$shell"
        install -D -m 644 -- "$pages/$shell" "${!shell}"
    done
    cat <<EOT
Installed:
  program  $program
  man      $man/leader-demo*.1
  bash     $bash
  fish     $fish
  zsh      $zsh
zsh must be told, in ~/.zshrc before compinit, unless it looks there already:
  fpath+=($zsh_reads)
EOT
}

remove_all() {
    remove_program
    rm -f -- "$bash" "$zsh" "$fish" "$man"/leader-demo.1 "$man"/leader-demo-*.1
    echo "Removed $program, its completions and its man pages."
}

case ${1:-install} in
install) install_all ;;
uninstall) remove_all ;;
*) die "'$1' is neither install nor uninstall" ;;
esac
