# shellcheck shell=bash
# What the deps-*.sh share. Sourced, never run.

# install TARGET WHAT PACKAGES..: WHAT is for who has no Debian packages. The servers
# that Debian may start along are not needed and can be stopped.
install() {
    if ! command -v apt-get >/dev/null; then
        echo "error: no apt-get here: install $2 your own way" >&2
        exit 1
    fi
    if ((EUID != 0)); then
        echo "error: this installs Debian packages: sudo make $1" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${@:3}"
    if [[ -d /run/systemd/system ]]; then
        echo 'To stop what Debian started: systemctl disable --now etcd redis-server postgresql'
    fi
}
