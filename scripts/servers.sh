# shellcheck shell=bash disable=SC2034,SC2154 # used by who sources this, and set there
# The servers of a demo on a store: what they are, how they start and how they die.
# Sourced by common.sh where there is a DEMO_STORE, never run.
#
# All that is theirs is in $lock. Each works in $lock/MEMBER, and by that its
# processes are known: those of Redis and PostgreSQL overwrite their environment.

case $DEMO_STORE in
etcd) members=(m1 m2 m3) programs=(etcd etcdctl) packages='etcd-server etcd-client' ;;
redis) members=(redis) programs=(redis-server) packages=redis-server ;;
postgres)
    members=(postgres) programs=(postgres initdb) packages=postgresql
    # Debian has them beside the path.
    for bin in /usr/lib/postgresql/*/bin; do
        PATH+=:$bin
    done
    ;;
*) die "DEMO_STORE '$DEMO_STORE' is no store: use etcd, redis or postgres" ;;
esac
# For other elections than ours.
unset LEADER_DEMO_SHARED_DIR LEADER_DEMO_STORE LEADER_DEMO_STORE_PASSWORD "${!ETCDCTL_@}"

# PostgreSQL refuses to be run by root.
as=()
[[ $DEMO_STORE != postgres || $EUID != 0 ]] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups --)

# What start_servers has settled, for other processes: these, the program and a
# password, as others on this machine could do with a server what they like.
url='' ports=()
# shellcheck source=/dev/null
[[ ! -O $lock/settings ]] || . "$lock/settings"

need_servers() {
    local program
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null ||
            die "$program is missing: apt-get install $packages (or, for all stores: sudo make deps-stores)"
    done
}

# The processes of a member.
member_pids() {
    local process
    for process in /proc/[0-9]*; do
        if [[ $process/cwd -ef $lock/$1 && $(<"$process/comm") = "${programs[0]}" ]]; then
            echo "${process##*/}"
        fi
    done 2>/dev/null
}

member_runs() { [[ -n $(member_pids "$1") ]]; }

# Takes so many ports that nobody listens on, from those that the kernel gives
# nobody by itself.
take_ports() {
    local port=$((20000 + RANDOM % 12000))
    while ((${#ports[@]} < $1)); do
        ((++port))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ports+=("$port")
    done
}

start_member() {
    local n command
    case $DEMO_STORE in
    etcd)
        n=${1#m}
        command=(etcd --name "$1" --data-dir "$lock/$1"
            --{listen,advertise}-client-urls="http://127.0.0.1:${ports[n - 1]}"
            --{listen,initial-advertise}-peer-urls="http://127.0.0.1:${ports[n + 2]}"
            --initial-cluster "$(printf ',m%d=http://127.0.0.1:%d' 1 "${ports[3]}" 2 "${ports[4]}" 3 "${ports[5]}" | cut -c 2-)")
        ;;
    redis) command=(redis-server "$lock/redis.conf" --bind 127.0.0.1 --port "${ports[0]}" --save '' --appendonly yes --dir .) ;;
    postgres)
        command=(postgres -D "$lock/$1" -p "${ports[0]}" -c listen_addresses=127.0.0.1
            -c unix_socket_directories= -c shared_buffers=16MB)
        ;;
    esac
    (cd -- "$lock/$1" && exec setsid "${as[@]}" "${command[@]}" </dev/null >>"$lock/$1.log" 2>&1 9>&-) &
    # How it ends is nothing for this shell to report.
    disown
    within 2 member_runs "$1" || has_ended "$1"
}

has_ended() { die "$1 has ended: $(tail -n 1 "$lock/$1.log")"; }

# kill -9, to all of its processes.
kill_member() {
    local pids shared
    member_runs "$1" || return 0
    # What PostgreSQL would have removed itself; the file may stop it from starting
    # again, for a process that init has not reaped yet.
    shared=$(awk 'NR == 7 { print $2 }' "$lock/$1/postmaster.pid" 2>/dev/null) || true
    # Until then, it may have one more.
    while mapfile -t pids < <(member_pids "$1") && ((${#pids[@]})); do
        kill -KILL "${pids[@]}" 2>/dev/null || true
        within 3 gone "${pids[@]}" || die "these do not die: ${pids[*]}"
    done
    rm -f -- "$lock/$1/postmaster.pid"
    [[ -z $shared ]] || ipcrm -m "$shared" 2>/dev/null || true
}

# In an empty $lock.
start_servers() {
    local member password said=''
    take_ports 6
    password=$(head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    url=127.0.0.1:${ports[0]}
    case $DEMO_STORE in
    etcd) url=$url,127.0.0.1:${ports[1]},127.0.0.1:${ports[2]} ;;
    postgres) url=postgres@$url/postgres ;;
    esac
    # An empty one is one, too.
    [[ $DEMO_STORE = etcd ]] || export LEADER_DEMO_STORE_PASSWORD=$password
    url=$DEMO_STORE://$url where=$url
    election=(--store "$url" --lock-name "$LOCK_NAME")
    (
        umask 077
        declare -p url ports LEADER_DEMO_BIN "${!LEADER_DEMO_STORE_@}" >"$lock/settings"
        echo "requirepass $password" >"$lock/redis.conf"
        for member in "${members[@]}"; do
            mkdir -- "$lock/$member"
        done
    )
    [[ $DEMO_STORE != postgres ]] || create_database
    for member in "${members[@]}"; do
        start_member "$member"
    done
    within 30 answers || die "$url does not answer: ${said%%$'\n'*}"
}

create_database() {
    local file=$lock/password
    (umask 077 && echo "$password" >"$file")
    ((EUID)) || chown 65534:65534 -- "$file" "$lock/postgres"
    (cd / && "${as[@]}" initdb -D "$lock/postgres" --username=postgres --auth=scram-sha-256 \
        --pwfile="$file" --encoding=UTF8 --no-locale --no-sync) &>"$lock/initdb.log" || has_ended initdb
    rm -- "$file"
}

# Whether they do; what is said of it is in said. That nobody leads is an answer.
answers() {
    local member status=0
    for member in "${members[@]}"; do
        member_runs "$member" || has_ended "$member"
    done
    said=$("$LEADER_DEMO_BIN" status "${election[@]}" 2>&1) || status=$?
    ((status == 0 || status == 3))
}

# Of etcd's members the one that leads the others.
raft_leader() {
    local hosts=${url#etcd://} port n
    port=$(etcdctl --endpoints="$hosts" endpoint status -w fields 2>/dev/null |
        awk '$1 == "\"MemberID\"" { id = $3 } $1 == "\"Leader\"" { leader = $3 }
            $1 == "\"Endpoint\"" && id == leader { print $3 }' | tr -d '"') || true
    for n in 0 1 2; do
        [[ ${port##*:} != "${ports[n]}" ]] || echo "m$((n + 1))"
    done
}

stop_servers() {
    local member
    for member in "${members[@]}"; do
        kill_member "$member"
    done
}
