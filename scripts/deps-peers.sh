#!/usr/bin/env bash
# Installs what `make bench-peers` compares with. It starts servers of its own.
set -euo pipefail
# shellcheck source=scripts/deps.sh
. "$(dirname -- "$0")/deps.sh"

install deps-peers 'etcd, Redis, ZooKeeper, PostgreSQL, and for /usr/bin/python3 redis, kazoo and psycopg2,' \
    util-linux etcd-server etcd-client redis-server postgresql zookeeper default-jre-headless \
    python3 python3-redis python3-kazoo python3-psycopg2
