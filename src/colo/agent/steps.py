"""Steps of a checkpoint: actions that take time, one at a time, each answered by one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import structlog

from colo.errors import ColoError
from colo.model.checkpoint.events import StepFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

Report = Any
"""An event of one of the checkpoint machines."""

FAILURES = (ColoError, OSError, RuntimeError, ValueError, TimeoutError)
"""What a step may end with: errors of colo, of the kernel, and of the Rust core."""

_log = structlog.get_logger()


class Steps:
    """Runs a step in a task of its own and posts its report, or StepFailed."""

    def __init__(self, tasks: TaskGroup, post: Callable[[Report], None]) -> None:
        self._tasks = tasks
        self._post = post
        self._running: anyio.CancelScope | None = None
        self._ended = anyio.Event()

    def start(self, name: str, work: Callable[[], Awaitable[Report | None]]) -> None:
        """Starts a step. One that is still under way is cancelled and awaited first (see `ResumeVm`)."""
        before, before_ended = self._running, self._ended
        scope, ended = anyio.CancelScope(), anyio.Event()
        self._running, self._ended = scope, ended

        async def run() -> None:
            try:
                if before is not None and not before_ended.is_set():
                    before.cancel()
                    await before_ended.wait()
                with scope:
                    report = await self._carried_out(name, work)
                    # What cannot be interrupted, a call in a thread, ends by itself all the same.
                    if report is not None and not scope.cancel_called:
                        self._post(report)
            finally:
                ended.set()

        self._tasks.start_soon(run, name=name)

    async def cancel(self) -> None:
        """Ends the step under way, without a report."""
        if self._running is not None:
            self._running.cancel()
            await self._ended.wait()

    async def _carried_out(self, name: str, work: Callable[[], Awaitable[Report | None]]) -> Report | None:
        try:
            return await work()
        except FAILURES as error:
            _log.warning("step failed", step=name, exc_info=True)
            return StepFailed(name, str(error) or type(error).__name__)
        except Exception:
            # A bug of ours ends the agent. Told here, for that takes a while, and may be cut short.
            _log.exception("a bug ends the agent", step=name)
            raise
