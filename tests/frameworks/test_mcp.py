"""MCP over streamable HTTP, by its own SDK: what a client's departure does to a tool.

The 2026-07-28 revision makes it the cancellation of the call; before, it meant nothing.
"""

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect

pytest.importorskip("mcp.server.mcpserver", reason="needs mcp 2")
pytest.importorskip("uvicorn")

import uvicorn
from mcp.client.client import Client
from starlette.middleware import Middleware

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence")]

MODERN, LEGACY = "2026-07-28", "legacy"
HUNG = 10.0
"""Seconds: long enough that only what hangs reaches it."""
KILLED = """
import anyio, sys
from mcp.client.client import Client

async def main():
    async with Client(sys.argv[1], mode=sys.argv[2]) as client:
        await client.call_tool("work")

anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn's


class Tool:
    """Works until it may end, or is stopped, and then cleans up in two steps."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.may_end = anyio.Event()
        self.ended = anyio.Event()
        self.noticed = anyio.Event()
        self.story: list[str] = []

    async def work(self) -> str:
        if disconnect := current_disconnect(None):
            disconnect.add_callback(self._notice)
        self.begun.set()
        try:
            await self.may_end.wait()
            self.story.append("done")
        except asyncio.CancelledError:
            self.story.append("cancelled")
            raise
        finally:
            try:
                await anyio.sleep(0.01)
                await anyio.sleep(0.01)
                self.story.append("cleaned up")
            finally:
                self.ended.set()
        return "done"

    def work_in_thread(self) -> str:
        disconnect = current_disconnect()
        told = threading.Event()
        disconnect.add_callback(told.set)
        anyio.from_thread.run_sync(self.begun.set)
        told.wait(HUNG)
        self.story.append("is set" if disconnect.is_set() else "is not set")
        anyio.from_thread.run_sync(self.ended.set)
        return "done"

    async def _notice(self) -> None:
        self.noticed.set()

    async def soon(self, event: anyio.Event) -> None:
        with anyio.fail_after(HUNG):
            await event.wait()


@pytest.fixture
def tool() -> Tool:
    return Tool()


MakeApp = Callable[..., Any]

WHERE_FASTMCP_IS = "only `nox -s checked` installs fastmcp"


@pytest.fixture(params=["mcp", "fastmcp"])
def make_app(request: pytest.FixtureRequest, tool: Tool) -> MakeApp:
    """The application of the SDK, with the tool's two ways to work."""
    if request.param == "mcp":
        from mcp.server.mcpserver import MCPServer

        server: Any = MCPServer("tests")
        make: MakeApp = server.streamable_http_app
    else:
        server = pytest.importorskip("fastmcp", reason=WHERE_FASTMCP_IS).FastMCP("tests")
        make = server.http_app
    server.tool()(tool.work)
    server.tool()(tool.work_in_thread)
    return make


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """By uvicorn; the address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await serving


async def call_and_cancel(url: str, mode: str, name: str, tool: Tool) -> None:
    """Call, and have the client cancel its call once the tool is at work; it stays itself."""
    async with Client(url, mode=mode) as client:
        with anyio.CancelScope() as call:
            async with anyio.create_task_group() as tasks:

                async def cancel() -> None:
                    await tool.soon(tool.begun)
                    call.cancel()

                tasks.start_soon(cancel)
                await client.call_tool(name)
        await tool.soon(tool.ended)


@asynccontextmanager
async def killed(url: str, mode: str, tool: Tool) -> AsyncIterator[None]:
    """Call from a process of its own that is killed when the tool is at work: a lost client."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url, mode)
    try:
        with anyio.fail_after(3 * HUNG):  # to import the SDK
            await tool.begun.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    yield


@pytest.mark.parametrize("json_response", [False, True])
@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_a_client_that_stays_gets_its_answer(
    make_app: MakeApp, tool: Tool, mode: str, json_response: bool
) -> None:
    tool.may_end.set()
    app = DisconnectMiddleware(make_app(json_response=json_response), watch_after=0)
    async with served(app) as url, Client(url, mode=mode) as client:
        answer = await client.call_tool("work")
    assert answer.content[0].text == "done"
    assert tool.story == ["done", "cleaned up"]


@pytest.mark.fast_guard
@pytest.mark.parametrize("json_response", [False, True])
async def test_a_cancelled_call_stops_its_tool_and_its_cleanup_finishes(
    make_app: MakeApp, tool: Tool, json_response: bool
) -> None:
    async with served(DisconnectMiddleware(make_app(json_response=json_response))) as url:
        await call_and_cancel(url, MODERN, "work", tool)
    assert tool.story == ["cancelled", "cleaned up"]


@pytest.mark.parametrize("json_response", [False, True])
async def test_a_lost_client_stops_its_tool(
    make_app: MakeApp, tool: Tool, json_response: bool
) -> None:
    async with (
        served(DisconnectMiddleware(make_app(json_response=json_response))) as url,
        killed(url, MODERN, tool),
    ):
        await tool.soon(tool.ended)
    assert tool.story[0] == "cancelled"


@pytest.mark.parametrize("json_response", [False, True])
async def test_a_tool_in_a_thread_can_ask(
    make_app: MakeApp, tool: Tool, json_response: bool
) -> None:
    async with served(DisconnectMiddleware(make_app(json_response=json_response))) as url:
        await call_and_cancel(url, MODERN, "work_in_thread", tool)
    assert tool.story == ["is set"]


@pytest.mark.parametrize("json_response", [False, True])
async def test_a_tool_of_a_2025_session_lives_on(
    make_app: MakeApp, tool: Tool, json_response: bool
) -> None:
    """Its client may come back for the answer."""
    async with (
        served(DisconnectMiddleware(make_app(json_response=json_response))) as url,
        killed(url, LEGACY, tool),
    ):
        await tool.soon(tool.noticed)
        tool.may_end.set()
        await tool.soon(tool.ended)
    assert tool.story == ["done", "cleaned up"]


@pytest.mark.parametrize("json_response", [False, True])
async def test_a_2025_tool_without_a_session_is_stopped(
    make_app: MakeApp, tool: Tool, json_response: bool
) -> None:
    app = make_app(json_response=json_response, stateless_http=True)
    async with served(DisconnectMiddleware(app)) as url, killed(url, LEGACY, tool):
        await tool.soon(tool.ended)
    assert tool.story[0] == "cancelled"


async def test_it_can_stand_in_fastmcps_list(tool: Tool) -> None:
    server = pytest.importorskip("fastmcp", reason=WHERE_FASTMCP_IS).FastMCP("tests")
    server.tool()(tool.work)
    app = server.http_app(middleware=[Middleware(DisconnectMiddleware)], json_response=True)
    async with served(app) as url:
        await call_and_cancel(url, MODERN, "work", tool)
    assert tool.story == ["cancelled", "cleaned up"]


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_the_calls_of_one_revision_can_be_chosen(
    make_app: MakeApp, tool: Tool, mode: str
) -> None:
    def names_its_revision(scope: Any) -> bool:
        return any(
            name == b"mcp-protocol-version" and value >= b"2026" for name, value in scope["headers"]
        )

    app = make_app(json_response=True, stateless_http=True)
    async with (
        served(DisconnectMiddleware(app, only=names_its_revision)) as url,
        killed(url, mode, tool),
    ):
        with anyio.move_on_after(0.2 if mode == LEGACY else HUNG):
            await tool.ended.wait()
        tool.may_end.set()
        await tool.soon(tool.ended)
    assert tool.story[0] == ("done" if mode == LEGACY else "cancelled")


# What the SDK does alone: the page says so, and a new version that changes it is noticed.


async def test_alone_the_sdk_cuts_a_tools_cleanup_off(make_app: MakeApp, tool: Tool) -> None:
    async with served(make_app()) as url:
        await call_and_cancel(url, MODERN, "work", tool)
    assert tool.story == ["cancelled"]


async def test_alone_the_sdk_lets_a_tool_run_on_that_answers_in_json(
    make_app: MakeApp, tool: Tool
) -> None:
    async with served(make_app(json_response=True)) as url, killed(url, MODERN, tool):
        with anyio.move_on_after(0.2):  # for it to be stopped
            await tool.ended.wait()
        assert not tool.story
        tool.may_end.set()
        await tool.soon(tool.ended)
    assert tool.story == ["done", "cleaned up"]
