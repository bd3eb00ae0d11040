"""Runs the app's lifespan around the exchange, as a server would (`lifespan=True`).

It has its own task, so that the app leaves in the same task what it enters at startup.
"""

from typing import Any

import anyio
from anyio.abc import TaskGroup

from .._types import App, Message, Scope
from ._waiting import NeverHappened


class PlayedLifespan:
    """Runs one lifespan of an app."""

    def __init__(self, app: App, patience: float) -> None:
        self._app = app
        self._patience = patience
        self.state: dict[str, Any] = {}
        """What the app puts into `scope["state"]` at startup."""
        self._answer = ""
        """The type of the app's answer; "" before there is one."""
        self._why = ""
        self._error: Exception | None = None
        self._ended = False
        self._asked_to_stop = False

    async def start(self, tasks: TaskGroup) -> None:
        """Run the app's startup, and return when it is complete."""
        # An event belongs to the loop in which it is made.
        self._answered, self._over, self._stopping = anyio.Event(), anyio.Event(), anyio.Event()
        self._asked = False
        self._scope = anyio.CancelScope()
        tasks.start_soon(self._run)
        await self._wait_for("startup")
        if self._ended and not self._answer:
            self._refuse_app_without_lifespan()

    async def stop(self) -> None:
        """Run the app's shutdown."""
        self._answer, self._answered = "", anyio.Event()
        self._stopping.set()
        if not self._ended:
            await self._wait_for("shutdown")
        if self._error is not None:
            self._error.add_note("This is an error of the app's lifespan.")
            raise self._error

    async def _wait_for(self, stage: str) -> None:
        with anyio.move_on_after(self._patience) as limit:
            await self._answered.wait()
            if self._answer != f"lifespan.{stage}.complete":
                await self._over.wait()  # Starlette says that it has failed, and then raises
        if limit.cancelled_caught:
            self._scope.cancel()
            await self._over.wait()
        if self._answer == f"lifespan.{stage}.failed":
            if self._error is not None:
                self._error.add_note(f"The app's {stage} failed with this.")
                raise self._error
            raise NeverHappened(f"the app's {stage} failed: {self._why}")
        if limit.cancelled_caught:
            raise NeverHappened(
                f"the app has not completed its {stage} within {self._patience:g} s. If it"
                " should take that long, give it a larger patience."
            )

    def _refuse_app_without_lifespan(self) -> None:
        if self._error is None:
            raise NeverHappened(
                "the app has no lifespan: it returned without 'lifespan.startup.complete'. Leave"
                " lifespan=True out."
            )
        self._error.add_note(
            "lifespan=True runs the app's lifespan. An app that has none raises: leave"
            " lifespan=True out then."
        )
        raise self._error

    # The app's side

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            with self._scope:
                await self._app(scope, self._receive, self._send)
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            self._answered.set()
            self._over.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        if not self._asked_to_stop:
            await self._stopping.wait()
            self._asked_to_stop = True
            return {"type": "lifespan.shutdown"}
        await anyio.sleep_forever()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self._answer = message["type"]
        self._why = message.get("message", "")
        self._answered.set()
