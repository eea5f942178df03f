#!/usr/bin/env bash
# Installs what `make bench-peers` compares with. The benchmark starts servers of its
# own; those that Debian may start along are not needed and can be stopped.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo 'error: no apt-get here: install etcd, Redis, ZooKeeper, PostgreSQL, and for' >&2
    echo '/usr/bin/python3 redis, kazoo and psycopg2, your own way' >&2
    exit 1
fi
if ((EUID != 0)); then
    echo 'error: this installs Debian packages: sudo make deps-peers' >&2
    exit 1
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    util-linux etcd-server etcd-client redis-server postgresql zookeeper default-jre-headless \
    python3 python3-redis python3-kazoo python3-psycopg2
if [[ -d /run/systemd/system ]]; then
    echo 'To stop what Debian started: systemctl disable --now etcd redis-server postgresql'
fi
