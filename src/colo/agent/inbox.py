"""The decision loop's inbox: everything that happens on this host, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

Job = Callable[[], None]


class Inbox:
    """Jobs are posted from anywhere in the event loop and done one after the other. They are short and never
    wait. `posted` is called whenever one comes.

    Unbounded by itself; what posts into it is bounded: the relay's event queue, one report per step, one
    answer per request.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self.posted: Callable[[], None] = lambda: None

    def post(self, job: Job) -> None:
        """Adds a job."""
        self._jobs.append(job)
        self.posted()

    def take(self) -> Job | None:
        """The next job, or None."""
        return self._jobs.popleft() if self._jobs else None


class Changes:
    """Lets any number of tasks wait for the next change of something."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    def tell(self) -> None:
        """It changed."""
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self, seconds: float) -> None:
        """Until the next change, or for that long."""
        with anyio.move_on_after(seconds):
            await self._changed.wait()
