"""Plays one exchange of either kind, from its first message to its end."""

import contextlib
from types import TracebackType
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal

from .._report import observers
from .._types import App
from ._blocking import Portal
from ._lifespan import PlayedLifespan
from ._server import PlayedServer
from ._waiting import Waiting

ServerT = TypeVar("ServerT", bound=PlayedServer)
ClientT = TypeVar("ClientT", bound=Waiting[Any])
BlockingT = TypeVar("BlockingT")


class Play(Generic[ServerT, ClientT, BlockingT]):
    """One exchange, which is entered once, by ``async with`` or by ``with``."""

    def __init__(self, app: App, lifespan: PlayedLifespan | None, backend: str) -> None:
        self._app = app
        self._lifespan = lifespan
        self._backend = backend
        self._client: ClientT | None = None
        self._stack = contextlib.ExitStack()

    def _make_server(self) -> ServerT:
        raise NotImplementedError

    def _make_client(self, server: ServerT) -> ClientT:
        raise NotImplementedError

    def _make_blocking_client(self, client: ClientT, portal: Portal) -> BlockingT:
        raise NotImplementedError

    async def __aenter__(self) -> ClientT:
        if self._client is not None:
            raise RuntimeError("an exchange can only be entered once: make a new one")
        self._server = server = self._make_server()
        self._client = self._make_client(server)
        observers.append(server.observe)
        self._stack.callback(observers.remove, server.observe)
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        if self._lifespan is not None:
            await self._start_lifespan(self._lifespan, server)
        self._tasks.start_soon(server.serve, self._app)
        self._tasks.start_soon(server.cancel_in_time)
        return self._client

    async def _start_lifespan(self, lifespan: PlayedLifespan, server: ServerT) -> None:
        try:
            await lifespan.start(self._tasks)
        except BaseException:
            with self._stack:
                self._tasks.cancel_scope.cancel()
                await self._tasks.__aexit__(None, None, None)
            raise
        server.runs_lifespan = True
        if server.scope.get("state") is lifespan.state:
            server.scope["state"] = {**lifespan.state}  # each request has its own, as on servers

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = None
        with self._stack:
            if error is None:
                assert self._client is not None
                try:
                    await self._client.see_to_end()
                except Exception as raised:  # the task group would wrap it
                    failure = raised
            if self._lifespan is not None and (error is None or isinstance(error, Exception)):
                try:
                    await self._server.stop_app()
                    await self._lifespan.stop()
                except Exception as raised:
                    failure = failure or raised
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        if failure is not None and error is None:
            raise failure

    def __enter__(self) -> BlockingT:
        with contextlib.ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(self._backend))
            client = stack.enter_context(portal.wrap_async_context_manager(self))
            self._blocking = stack.pop_all()
        return self._make_blocking_client(client, portal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocking.__exit__(kind, error, traceback)
