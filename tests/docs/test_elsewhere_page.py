"""What "Work elsewhere" shows stops what is elsewhere: subprocesses, a queue, another service."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from asgi_disconnect import DisconnectMiddleware

from .conftest import PAGES, Run
from .visiting import HUNG, visit

pytestmark = pytest.mark.anyio

PAGE = "docs/guides/elsewhere.md"

posix = pytest.mark.skipif(os.name != "posix", reason="the processes are POSIX shells")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def names(run_page: Run) -> dict[str, Any]:
    return run_page(PAGE)


def app_of(handler: Callable[[], Any], **options: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler()

    return DisconnectMiddleware(app, watch_after=0, **options)


@pytest.mark.parametrize("number", range(len(PAGES[PAGE])))
def test_each_block_can_be_pasted_alone(number: int) -> None:
    PAGES[PAGE][number].run({})


class Job:
    """One of any queue: it runs until it is stopped, and says so to who waits for its result."""

    def __init__(self) -> None:
        self.waited_for = anyio.Event()
        self.stopped_with: list[dict[str, Any]] = []
        self._over = anyio.Event()

    async def cancel(self, **arguments: Any) -> None:
        self.stopped_with.append(arguments)
        self._over.set()

    async def result(self) -> None:
        self.waited_for.set()
        await self._over.wait()

    # As arq calls it, and Ray
    abort = cancel

    def __await__(self) -> Any:
        return self.result().__await__()


class SyncJob:
    """The same, for threads: Celery's, and gRPC's."""

    def __init__(self) -> None:
        self.waited_for = anyio.Event()
        self.stopped_with: list[dict[str, Any]] = []
        self._future: Future[None] = Future()
        self._call_in_loop = asyncio.get_running_loop().call_soon_threadsafe

    def cancel(self, **arguments: Any) -> None:
        self.stopped_with.append(arguments)
        self._future.cancel()

    revoke = cancel

    def result(self, timeout: float = HUNG) -> None:
        self._call_in_loop(self.waited_for.set)
        self._future.result(HUNG)

    get = result


class Given:
    """Gives out one job, whatever it is called by."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.Price = self

    async def submit(self, *_: Any) -> Any:
        return self.job

    enqueue_job = submit

    def delay(self, *_: Any) -> Any:
        return self.job

    remote = future = delay


async def test_the_jobs_are_stopped(names: dict[str, Any]) -> None:
    async def stopped(handler: Any, *before: Any) -> list[dict[str, Any]]:
        job = Job()
        app = app_of(lambda: handler(*before, Given(job), "page"))
        await visit(app, leave_when=job.waited_for.wait)
        return job.stopped_with

    class ray:
        @staticmethod
        def cancel(job: Any) -> None:
            anyio.from_thread.run(job.cancel)

    assert await stopped(names["transcode"]) == [{}]
    assert await stopped(names["render"]) == [{"timeout": 5}]  # arq's, the last of that name
    assert await stopped(names["simulate"], ray) == [{}]


async def test_the_jobs_that_threads_wait_for_are_stopped() -> None:
    celery, grpc = (blocks_with(text) for text in ("SIGUSR1", "stub.Price"))

    async def stopped(handler: Any) -> list[dict[str, Any]]:
        job = SyncJob()

        def call() -> None:
            with contextlib.suppress(CancelledError):
                handler(Given(job), "page")

        app = app_of(lambda: anyio.to_thread.run_sync(call))
        await visit(app, leave_when=job.waited_for.wait)
        return job.stopped_with

    assert await stopped(celery["render"]) == [{"terminate": True, "signal": "SIGUSR1"}]
    assert await stopped(grpc["price"]) == [{}]


async def test_a_callback_is_called_with_cancel_false_and_not_after_the_end(
    names: dict[str, Any],
) -> None:
    job = Job()
    app = app_of(lambda: names["transcode"](Given(job), "video"), cancel=False)
    await visit(app, leave_when=job.waited_for.wait)
    assert job.stopped_with == [{}]

    done = Job()
    await done.cancel()
    left = anyio.Event()

    async def handler() -> None:
        await names["transcode"](Given(done), "video")
        left.set()
        await anyio.sleep_forever()

    await visit(app_of(handler), leave_when=left.wait)
    assert done.stopped_with == [{}]  # that above


def blocks_with(text: str) -> dict[str, Any]:
    (block,) = (block for block in PAGES[PAGE] if text in block.code)
    found: dict[str, Any] = {}
    block.run(found)
    return found


class Process:
    """A process that runs until it is killed; the end of a pipe that it holds says that it is."""

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        self.line = f"exec 3> '{self._pipe}'; echo begun >&3; exec sleep 60"
        self.command = ("sh", "-c", self.line)
        self.begun = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self._pipe.open() as pipe:
            pipe.readline()
            self.begun.set()
            pipe.read()
        self.gone.set()

    async def begins(self) -> None:
        assert await anyio.to_thread.run_sync(self.begun.wait, HUNG)

    async def is_gone(self, seconds: float = HUNG) -> bool:
        return await anyio.to_thread.run_sync(self.gone.wait, seconds)


@posix
@pytest.mark.parametrize("shown", ["convert", "convert_by_shell", "convert_in_thread"])
async def test_the_processes_are_killed(names: dict[str, Any], shown: str, tmp_path: Path) -> None:
    process = Process(tmp_path)
    # Its child does the work, where a session is killed.
    line = f'sh -c "{process.line}" & wait'

    async def handler() -> None:
        if shown == "convert_by_shell":
            await names[shown](line)
        elif shown == "convert":
            await names[shown](*process.command)
        else:
            await anyio.to_thread.run_sync(names[shown], *process.command)

    await visit(app_of(handler), leave_when=process.begins)
    assert await process.is_gone()


@posix
async def test_anyios_processes_end_after_cleanup_timeout(tmp_path: Path) -> None:
    """The page would be wrong to warn."""
    process = Process(tmp_path)
    app = app_of(lambda: anyio.run_process(process.command), cleanup_timeout=0.5)

    async def leaves() -> None:
        await process.begins()
        assert not await process.is_gone(0.1)

    await visit(app, leave_when=leaves)  # which returns when it has ended
    assert await process.is_gone()


@posix
async def test_asyncios_processes_run_on(tmp_path: Path) -> None:
    """The page would be wrong to warn."""
    process, pids = Process(tmp_path), []

    async def handler() -> None:
        child = await asyncio.create_subprocess_exec(*process.command)
        pids.append(child)
        await child.wait()

    await visit(app_of(handler), leave_when=process.begins)
    assert not process.gone.is_set()
    pids[0].send_signal(signal.SIGKILL)
    await pids[0].wait()
    assert await process.is_gone()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """uvicorn on a free port, and a client for it."""
    uvicorn = pytest.importorskip("uvicorn")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{port}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=HUNG, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


class Service:
    """Another service, which works on a summary until it is stopped, and has jobs."""

    def __init__(self) -> None:
        self.at_work = anyio.Event()
        self.stopped = anyio.Event()
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        if scope["path"] == "/summaries":
            self.at_work.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.stopped.set()
        if scope["method"] == "GET":
            self.at_work.set()
        elif scope["method"] == "DELETE":
            self.stopped.set()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"id": 7, "state": "running"}'})


async def test_another_service_that_is_wrapped_stops_as_well(names: dict[str, Any]) -> None:
    service = Service()
    async with served(DisconnectMiddleware(service)) as client:
        async with served(app_of(lambda: names["summary"](client, "text"))) as ours:
            await leave(ours, service)
        with anyio.fail_after(HUNG):
            await service.stopped.wait()


async def test_a_job_of_another_service_is_stopped_by_a_call(names: dict[str, Any]) -> None:
    service = Service()
    async with (
        served(service) as client,
        served(app_of(lambda: names["train"](client, {"rate": 1}))) as ours,
    ):
        await leave(ours, service)
        with anyio.fail_after(HUNG):
            await service.stopped.wait()
    assert service.asked == ["POST /jobs", "GET /jobs/7", "DELETE /jobs/7"]


async def leave(ours: httpx.AsyncClient, service: Service) -> None:
    """Ask ours, and leave when the other service is at work for it."""
    asking = asyncio.create_task(ours.get("/"))
    with anyio.fail_after(HUNG):
        await service.at_work.wait()
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
