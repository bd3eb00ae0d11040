"""Many clients that ask at once and leave together: `watched` runs it in a process of its own.

    python tests/benchmarks/crowd.py PORT COUNT

Says ``asked`` when all have asked, and leaves when its standard input ends.
"""

import resource
import socket
import sys

SPARE = 200
"""Files that a process has open besides."""


def allow_files(count: int) -> int:
    """Let this process, and those that it starts, open `count` files; returns how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return count if soft == resource.RLIM_INFINITY else min(count, soft - SPARE)


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    allow_files(count)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for number, client in enumerate(clients):
        client.sendall(b"GET /wait/%d HTTP/1.1\r\nHost: benchmark\r\n\r\n" % number)
    print("asked", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
