"""How an app under test and its test speak to each other."""

import threading

from .waiting import LIMIT, Changing


class Journal(Changing):
    """What the app says that it does, and what the test lets it do."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self._allowed: set[str] = set()
        self.failure: BaseException = ValueError("the app's own")
        """What the route `/fails` raises."""
        self._hold = threading.Event()

    def __repr__(self) -> str:
        return f"Journal: {self.notes}, allowed: {sorted(self._allowed)}"

    # The app's side

    def note(self, what: str) -> None:
        """Say that `what` happened.  From any thread."""
        self.notes.append(what)
        self.changed()

    async def leave_to(self, what: str) -> None:
        """Wait until the test allows `what`."""
        await self.until(lambda: what in self._allowed)

    def block(self) -> None:
        """Block this thread until the test calls `release()`."""
        if not self._hold.wait(LIMIT):
            raise AssertionError("the test never released this thread")

    # The test's side

    def allow(self, what: str) -> None:
        self._allowed.add(what)
        self.changed()

    def release(self) -> None:
        self._hold.set()

    async def noted(self, what: str) -> None:
        """Wait until the app has said `what`."""
        await self.soon(lambda: what in self.notes, f"the app's {what!r}")
