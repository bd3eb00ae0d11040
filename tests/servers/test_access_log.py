"""An abandoned request is one line in the access log, the server's or the hook's, never two."""

import dataclasses
import time

from .configurations import APP, CONFIGURATIONS
from .running import RunningServer

OPTIONS = {
    "uvicorn-h11": (),
    "uvicorn-uvloop": (),
    "hypercorn-asyncio": ("--access-logfile", "-"),
    "daphne": ("--access-log", "-"),
    "granian": ("--access-log",),
    "gunicorn": ("--access-logfile", "-"),
}
SERVERS = [
    dataclasses.replace(
        each,
        name=f"{each.name}-access-log",
        command=(
            *("access_log:application" if part == APP else part for part in each.command),
            *OPTIONS[each.name],
        ),
    )
    for each in CONFIGURATIONS
    if each.name in OPTIONS
]


def lines_of(server: RunningServer, path: str) -> list[str]:
    """What is logged of the request to `path`, when another has been answered and logged."""
    last = f"/default/slow/{server.new_key()}"
    server.open_gate(last.rpartition("/")[2])
    client = server.connect()
    client.request(last)
    assert client.response().status == 200
    client.close()
    deadline = time.monotonic() + 10
    while last not in (log := server.log()):
        assert time.monotonic() < deadline, f"not logged: {last} in\n{log}"
        time.sleep(0.02)  # a log has no event
    return [line for line in log.splitlines() if f"{path} " in line or f'{path}"' in line]


def abandon(server: RunningServer, path: str) -> list[str]:
    """What is logged of the request to `path`, whose client leaves while its handler works."""
    key, client = path.rpartition("/")[2], server.connect()
    client.request(path)
    server.wait(key, "working")
    client.leave("fin")
    server.wait(key, "reported")
    return lines_of(server, path)


def test_a_request_that_is_abandoned_unanswered_is_one_line(server: RunningServer) -> None:
    path = f"/default/slow/{server.new_key()}"
    (line,) = abandon(server, path)
    if server.configuration.name.startswith(("uvicorn", "daphne")):
        start = "INFO:     127.0.0.1:" if server.configuration.name.startswith("uvicorn") else ""
        assert line.startswith(start)
        assert line.rstrip().endswith(f' - "POST {path} HTTP/1.1" 499')
    else:
        assert "499" not in line.partition(path)[2]  # the server's


def test_a_request_that_is_abandoned_while_it_is_answered_is_the_servers_line(
    server: RunningServer,
) -> None:
    lines = abandon(server, f"/default/stream/{server.new_key()}")
    assert len(lines) == (0 if server.configuration.name.startswith("daphne") else 1)
    assert not any(" 499" in line for line in lines)


def test_a_request_that_is_answered_is_the_servers_line(server: RunningServer) -> None:
    path = f"/default/slow/{server.new_key()}"
    server.open_gate(path.rpartition("/")[2])
    client = server.connect()
    client.request(path)
    assert client.response().status == 200
    (line,) = lines_of(server, path)
    assert " 200" in line


def test_the_logger_may_be_another(server: RunningServer) -> None:
    path = f"/own/slow/{server.new_key()}"
    (line,) = (line for line in abandon(server, path) if line.startswith("own: "))
    assert line.endswith(f' - "POST {path} HTTP/1.1" 499')
