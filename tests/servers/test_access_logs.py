"""What each server writes into its access log for an abandoned request: no error, whatever it says.

The page "Rolling it out" tells of it.
"""

import dataclasses
import re
import time

from .configurations import CONFIGURATIONS, Configuration
from .conftest import Start
from .running import RunningServer

SHOWN = {
    "uvicorn-httptools": ((), None),
    "uvicorn-h11": ((), None),
    "hypercorn-asyncio": (("--access-logfile", "-"), "-"),
    "daphne": ((), None),
    "granian": (("--access-log",), "500"),
    "gunicorn": (("--access-logfile", "-"), "500"),
}
"""What makes the log be written, and the status in it; None where there is no line."""

SERVERS = [
    dataclasses.replace(each, command=(*each.command, *SHOWN[each.name][0]))
    for each in CONFIGURATIONS
    if each.name in SHOWN
]


def line_of(server: RunningServer, key: str, *, soon: bool) -> str | None:
    """The line with this key, if there is one; with `soon`, once there is one."""
    deadline = time.monotonic() + 10
    while True:
        found = re.search(rf'/{key}\b.*?"?(?: HTTP/1\.1| 1\.1)?"? (\d+|-)', server.log())
        if found or not soon:
            return found and found[1]
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)  # a log has no event


def test_what_stands_in_the_access_log(configuration: Configuration, start_server: Start) -> None:
    server = start_server(configuration)
    abandoned, answered = server.new_key(), server.new_key()
    client = server.connect()
    client.request(f"/guarded/slow/{abandoned}")
    server.wait(abandoned, "working")
    client.leave("fin")
    assert server.end(abandoned)[-1] == "returned"
    client = server.connect()
    client.request(f"/guarded/quick/{answered}")
    assert client.response().status == 200
    assert line_of(server, answered, soon=True) == "200"
    status = SHOWN[configuration.name][1]
    assert line_of(server, abandoned, soon=status is not None) == status
