"""candidate.py KIND NAME PORT LEASE COMMAND ARGS.. : runs a command while it holds a lock.

Each lock is used as its library's documentation shows. What a careful script adds is
here too: it renews, stops the command when the lock is lost, and stops it and gives
the lock back on SIGTERM.
"""

import contextlib
import signal
import subprocess
import sys
import threading


@contextlib.contextmanager
def redis_lock(name, port, lease, lost):
    import redis

    # Another thread renews it.
    lock = redis.Redis(port=port).lock(name, timeout=lease, thread_local=False)
    with lock, repeated(lease / 3, lock.reacquire, lost):
        yield


@contextlib.contextmanager
def zookeeper_lock(name, port, lease, lost):
    from kazoo.client import KazooClient, KazooState

    client = KazooClient(hosts=f"127.0.0.1:{port}", timeout=lease)
    client.start()
    with client.Lock("/" + name):
        client.add_listener(lambda state: state == KazooState.CONNECTED or lost())
        yield
    client.stop()


@contextlib.contextmanager
def postgres_lock(name, port, lease, lost):
    import psycopg2

    session = psycopg2.connect(host="127.0.0.1", port=port, user="postgres")
    session.autocommit = True
    cursor = session.cursor()
    cursor.execute("select pg_advisory_lock(hashtext(%s))", [name])
    # A session that is gone, and its lock with it, shows when it is used.
    with repeated(lease / 3, lambda: cursor.execute("select 1"), lost):
        yield
    session.close()


@contextlib.contextmanager
def repeated(period, renew, lost):
    over = threading.Event()

    def loop():
        while not over.wait(period):
            try:
                renew()
            except Exception:
                return lost()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main(kind, name, port, lease, *command):
    running = []

    def stop(*_):
        for process in running:
            process.terminate()

    lock = {"redis": redis_lock, "zookeeper": zookeeper_lock, "postgres": postgres_lock}[kind]
    with lock(name, int(port), float(lease), stop):
        signal.signal(signal.SIGTERM, stop)
        running.append(subprocess.Popen(command))
        running[0].wait()


main(*sys.argv[1:])
