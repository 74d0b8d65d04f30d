"""Stop this host's VM for certain, before anybody else may run it.

Three steps, each of which needs less cooperation than the one before:

1. close the gate: nothing more leaves to the uplink, whatever the VM does;
2. ask QEMU to stop the CPUs, with a deadline: the VM is intact and can be looked at;
3. SIGKILL through a pidfd: it hits the process that was opened, never a later one with its number.

Step 3 is skipped when step 2 was confirmed. An error of an earlier step never keeps the later ones from
happening, and a cancelled caller does not stop a fence half way.
Source: pidfd_open(2), pidfd_send_signal(2).
"""

from __future__ import annotations

import os
import select
import signal
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import anyio
import structlog
from attrs import field, frozen

from colo.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()


class Step(StrEnum):
    """What made sure that the VM runs no more."""

    GONE = "gone"  # QEMU had ended already
    STOPPED = "stopped"  # QEMU confirmed that the CPUs are stopped
    KILLED = "killed"  # SIGKILL, and the process has ended
    UNCONFIRMED = "unconfirmed"  # SIGKILL is sent, but the process has not ended yet (stuck in the kernel)


@frozen
class FenceReport:
    """`step` that did it; `took_ms`; `errors` of the steps before, in order."""

    step: Step
    took_ms: float
    errors: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """The VM executes nothing any more. Otherwise only the closed gate stands."""
        return self.step is not Step.UNCONFIRMED


@frozen
class SelfFence:
    """Fences one QEMU process. Create it while the process is known to live; `close` it at the end."""

    pidfd: int
    close_gate: Callable[[], None]
    stop_vm: Callable[[], Awaitable[None]]
    stop_timeout_s: float = field(default=2.0, kw_only=True)
    kill_timeout_s: float = field(default=2.0, kw_only=True)

    @classmethod
    def of_process(
        cls,
        pid: int,
        close_gate: Callable[[], None],
        stop_vm: Callable[[], Awaitable[None]],
        *,
        stop_timeout_s: float = 2.0,
        kill_timeout_s: float = 2.0,
    ) -> Self:
        """`stop_vm` returns once QEMU has confirmed the stop; whatever it raises means that it did not."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError as e:
            raise QemuError(f"QEMU (process {pid}) has ended already", "see its log in the run folder") from e
        return cls(pidfd, close_gate, stop_vm, stop_timeout_s=stop_timeout_s, kill_timeout_s=kill_timeout_s)

    async def fence(self, why: str) -> FenceReport:
        """Stop the VM; at most stop_timeout_s + kill_timeout_s. Calling it again is harmless."""
        started = time.monotonic()
        errors: list[str] = []
        with anyio.CancelScope(shield=True):
            step = await self._steps(errors)
        report = FenceReport(step, (time.monotonic() - started) * 1000, tuple(errors))
        log.warning("fenced", why=why, step=str(step), took_ms=round(report.took_ms, 1), errors=errors)
        return report

    def close(self) -> None:
        """Let go of the process; it is not touched."""
        os.close(self.pidfd)

    async def _steps(self, errors: list[str]) -> Step:
        try:
            self.close_gate()
        except Exception as e:  # noqa: BLE001 - a broken relay must not save the VM from being stopped
            errors.append(f"gate: {e!r}")
        if self._ended():
            return Step.GONE
        if await self._stop(errors):
            return Step.STOPPED
        return await self._kill()

    async def _stop(self, errors: list[str]) -> bool:
        try:
            with anyio.fail_after(self.stop_timeout_s):
                await self.stop_vm()
        except TimeoutError:
            errors.append(f"stop: not confirmed within {self.stop_timeout_s:g} s")
        except Exception as e:  # noqa: BLE001 - any failure has the same answer: the next step
            errors.append(f"stop: {e!r}")
        else:
            return True
        return False

    async def _kill(self) -> Step:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return Step.KILLED
        with anyio.move_on_after(self.kill_timeout_s):
            await anyio.wait_readable(self.pidfd)
        return Step.KILLED if self._ended() else Step.UNCONFIRMED

    def _ended(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))
