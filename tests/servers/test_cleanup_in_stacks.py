"""Cleanup finishes wherever a framework runs the user's code, on real servers (contract §4.4).

The stacks are those of `tests/frameworks/stacks`; each is abandoned at random moments.
"""

import dataclasses
import random
import time
from collections import Counter

import pytest

from ..frameworks.stacks import DJANGO_STACKS, STACKS, Stack, holds
from .configurations import APP, CONFIGURATIONS
from .running import Client, RunningServer

SERVERS = [
    dataclasses.replace(
        each,
        name=f"{each.name}-stacks",
        command=tuple("in_stacks:application" if part == APP else part for part in each.command),
    )
    for each in CONFIGURATIONS
    if each.name
    in (
        *("uvicorn-httptools", "uvicorn-uvloop", "hypercorn-asyncio"),
        *("daphne", "granian", "gunicorn"),
    )
]

ABANDONED = 12

ROWS = [
    pytest.param(
        stack,
        id=stack.name,
        marks=[
            # A generator is not always left at its `yield` here.
            *([pytest.mark.fast_guard] if holds(stack.in_group, "2.3") or stack.collected else []),
            pytest.mark.skipif(stack.missing, reason=f"needs {stack.needs}"),
        ],
    )
    for stack in (*STACKS, *DJANGO_STACKS)
]


@pytest.mark.parametrize("stack", ROWS)
def test_cleanup_finishes_in_every_stack(server: RunningServer, stack: Stack) -> None:
    draw = random.Random(f"{stack.name} {server.configuration.name}")
    keys = [server.new_key() for _ in range(ABANDONED)]
    crowd: list[Client] = []
    for number, key in enumerate(keys):
        client = server.connect()
        client.request(f"/{stack.name}/{key}", method=stack.method, body=stack.body)
        server.wait(key, "called")
        if number % 2:
            server.wait(key, "working")
        if number % 3:
            time.sleep(draw.uniform(0, 0.01))  # the moment is what is tested
            client.leave(draw.choice(["fin", "rst"]))
        else:
            crowd.append(client)
    for client in crowd:
        client.leave("fin")
    version = server.configuration.spec_version
    listens = holds(stack.listens, version)
    for key in keys:
        server.end(key)
    if stack.collected:
        for key in keys:
            wait_until_collected(server, key)
    for number, key in enumerate(keys):
        story = server.story(key)
        assert not any(each.startswith(("raised", "error")) for each in story), story
        counts = Counter(story)
        assert counts["working"] == counts["cleaning up"] == counts["cleaned up"], story
        assert counts["background began"] == counts["background ended"], story
        if number % 2:
            assert f"outcome: {'told' if listens else 'cancelled'}" in story
            assert bool(counts["background began"]) == (stack.background and listens), story


def wait_until_collected(server: RunningServer, key: str) -> None:
    """Wait until the generator of a request has been closed; its end is not the request's."""
    deadline = time.monotonic() + 10
    while "working" in (story := server.story(key)) and "cleaned up" not in story:
        assert time.monotonic() < deadline, story
        server.watching_has_begun()  # which also has garbage collected
