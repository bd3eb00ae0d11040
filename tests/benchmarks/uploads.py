"""Large request bodies through the middleware, beside fastapi-disconnect and no middleware at all.

    python tests/benchmarks/uploads.py [--rounds N] [--check] [--json FILE]

1.  256 MB to an app that reads, behind uvicorn: time, and the peak of the server's memory.
2.  A body of a million one-byte chunks that the app reads late, in process: memory.
3.  50 MB to an app that never reads, and a client that then leaves: time until the app hears of it.

The contenders take turns, in an order drawn anew in each round, each in a server of its own that
runs all the time; ratios are made within a round, and their median is told: by the clock, and by
the server's CPU time, which does not count what the machine gives to others.  One app only counts
the bytes, so that what is added to each message shows at its largest; the other makes a digest.
`--check` ends with status 1 if ours is over `LIMITS`; its throughput is that of the digest, by CPU
time, since the clock is the machine's.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from serving import UVICORN, RunningServer, two_cores
from uploads_apps import OURS, UNWRAPPED, wraps

MB = 1 << 20
MAX_MEMORY = 1 << 20
SIZE = 256 * MB
READING = ("counting", "hashing")
UNREAD_SIZE = 50 * MB
CHUNKS = 1_000_000
LIMITS = {
    "least share of the unwrapped throughput": 0.95,
    "most memory beside unwrapped, MB": (MAX_MEMORY + 2_000_000) / 1e6,
    "most memory for a million one-byte chunks, MB": (2 * CHUNKS + 1_000_000) / 1e6,
    "most seconds until a departure is seen": 1.0,
}

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "33554432"}
"""glibc else gives the memory of each piece back to the system, and asks for it again, or does not,
by how the heap happens to lie: a factor of three for the unwrapped app, from run to run."""

_BLOCK = random.Random(0).randbytes(MB)


@contextlib.contextmanager
def servers(core: int | None) -> Iterator[dict[str, RunningServer]]:
    """A server for each contender."""
    with contextlib.ExitStack() as stack:
        running = {}
        os.environ.update(ALLOCATOR)
        for name in wraps():
            os.environ["CONTENDER"] = name
            running[name] = RunningServer(UVICORN, "uploads_apps:application", core=core)
            stack.callback(running[name].stop)
        for name in ALLOCATOR:
            del os.environ[name]
        for server in running.values():
            server.wait_until_up()
        yield running


def send(server: RunningServer, path: str, size: int) -> socket.socket:
    """A client that has sent its whole body."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n"
    client.sendall(head.encode())
    for _ in range(size // MB):
        client.sendall(_BLOCK)
    return client


def upload(server: RunningServer, path: str) -> dict[str, float]:
    """Seconds, CPU seconds and the peak of the memory in MB, for one body that is read."""
    before = server.get_json("/reset")
    cpu, start = server.cpu_seconds(), time.monotonic()
    client = send(server, path, SIZE)
    answer = client.recv(65536)
    seconds, cpu = time.monotonic() - start, server.cpu_seconds() - cpu
    client.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return {"seconds": seconds, "cpu": cpu, "peak": (server.get_json("/peak") - before) / 1e6}


def seen_after(server: RunningServer) -> dict[str, float]:
    """Seconds from a client's departure to the end of an app that never reads; MB of memory."""
    before = server.get_json("/reset")
    client = socket.socket()
    left = None
    try:
        client = send(server, "/never_reading", UNREAD_SIZE)
        client.close()
        left = time.monotonic()
    except TimeoutError:
        pass  # nobody reads
    finally:
        client.close()
    deadline = time.monotonic() + 3
    seen = server.get_json("/seen")
    while left is not None and not seen["cancelled"] and time.monotonic() < deadline:
        time.sleep(0.01)
        seen = server.get_json("/seen")
    peak = (server.get_json("/peak") - before) / 1e6
    if left is None or not seen["cancelled"]:
        return {"seconds": float("inf"), "peak": peak}
    return {"seconds": seen["cancelled"] - left, "peak": peak}


def small_chunks(name: str) -> dict[str, float]:
    """Seconds and MB for a million one-byte chunks, in a process of their own."""
    command = [sys.executable, str(Path(__file__).with_name("uploads_chunks.py")), str(CHUNKS)]
    environment = {**os.environ, "CONTENDER": name}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(told.stdout)
    return found


def median(rounds: list[dict[str, float]], what: str) -> float:
    return statistics.median(each[what] for each in rounds)


def share(bare: list[dict[str, float]], mine: list[dict[str, float]], what: str) -> float:
    """The throughput as a share of the unwrapped app's."""
    return statistics.median(one[what] / other[what] for one, other in zip(bare, mine, strict=True))


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each case and each contender: the figures."""
    core, own_core = two_cores()
    if own_core is not None:
        os.sched_setaffinity(0, {own_core})
    found: dict[str, dict[str, dict[str, float]]] = {}
    with servers(core) as running:
        for path in READING:
            figures: dict[str, list[dict[str, float]]] = {name: [] for name in running}
            for number in range(-1, rounds):
                for name in random.sample(list(running), len(running)):
                    one = upload(running[name], f"/{path}")
                    if number >= 0:
                        figures[name].append(one)
            found[f"256 MB, app {path}"] = {
                name: {
                    "MB/s": SIZE / 1e6 / median(each, "seconds"),
                    "CPU s": median(each, "cpu"),
                    "throughput": share(figures[UNWRAPPED], each, "seconds"),
                    "by CPU": share(figures[UNWRAPPED], each, "cpu"),
                    "peak MB": median(each, "peak"),
                    "peak beside": median(each, "peak") - median(figures[UNWRAPPED], "peak"),
                }
                for name, each in figures.items()
            }
        found["50 MB, app never reads, client leaves"] = {}
        for name, server in running.items():
            if name != UNWRAPPED:
                one = seen_after(server)
                found["50 MB, app never reads, client leaves"][name] = {
                    "seen after s": one["seconds"],
                    "peak MB": one["peak"],
                }
    found["1,000,000 one-byte chunks"] = {
        name: {"s": one["seconds"], "peak MB": one["peak"]}
        for name in wraps()
        if name != UNWRAPPED
        for one in [small_chunks(name)]
    }
    return found


def show(found: dict[str, dict[str, dict[str, float]]]) -> None:
    for case, lines in found.items():
        titles = list(next(iter(lines.values())))
        print(f"\n{case}\n{'':40}" + "".join(f"{title:>14}" for title in titles))
        for name, figures in lines.items():
            values = [
                "never" if value == float("inf") else f"{value:.2f}" for value in figures.values()
            ]
            print(f"{name:40}" + "".join(f"{value:>14}" for value in values))


def excesses(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """What of ours is over the limits, as sentences."""
    least, memory, chunks, seconds = LIMITS.values()
    reading = [found[f"256 MB, app {path}"][OURS] for path in READING]
    checks = [
        (reading[-1]["by CPU"] >= least, "throughput"),
        (max(each["peak beside"] for each in reading) <= memory, "memory of uploads"),
        (found["1,000,000 one-byte chunks"][OURS]["peak MB"] <= chunks, "one-byte chunks"),
        (
            found["50 MB, app never reads, client leaves"][OURS]["seen after s"] <= seconds,
            "departure",
        ),
    ]
    return [f"over the limit: {what} ({LIMITS})" for good, what in checks if not good]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, help="(default 9)")
    parser.add_argument("--check", action="store_true", help="status 1 if over the limits")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    arguments = parser.parse_args()
    found = measure(arguments.rounds or (1 if arguments.quick else 9))
    show(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    over = excesses(found)
    print("", *over, sep="\n")
    return 1 if arguments.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
