#!/usr/bin/env bash
# Installs the servers of the demos on stores and of `make test-stores`, which start
# their own.
set -euo pipefail
# shellcheck source=scripts/deps.sh
. "$(dirname -- "$0")/deps.sh"

install deps-stores 'etcd (etcdctl, too), Redis, PostgreSQL with PgBouncer, openssl' \
    util-linux etcd-server etcd-client redis-server postgresql pgbouncer openssl
