"""`colo protect`: from whatever this agent is to a protected VM, told step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from attrs import define, field

from colo.agent.inbox import Changes
from colo.api.service import Progress
from colo.errors import ColoError, LeaseError, PeerUnreachableError, QemuError, RefusedError
from colo.model.role.events import Boot, BootGivenUp
from colo.model.role.states import State

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import TaskGroup

    from colo.agent.link import Link
    from colo.agent.loop import DecisionLoop
    from colo.agent.precopy import Copied

_TICK_S = 0.2
_BOOT_S = 60.0
_WITNESS_S = 5.0
"""How long an operator waits for a witness that does not answer."""
_READY_S = 30.0
"""By then the secondary has its cache."""
_PAGE = 4096
_LEASE_HINT = (
    "`colo lease show` asks the witness, `colo status` at the other host tells whether it runs the VM"
)
_FILLING = frozenset({State.SYNCING, State.CONFIRMING})
_RUNS = frozenset({State.UNPROTECTED, State.DEGRADED})


@define(eq=False)
class Protection:
    """At most one attempt at a time; everybody who asks meanwhile watches that one."""

    loop: DecisionLoop
    link: Link
    tasks: TaskGroup
    progress: Progress = field(factory=lambda: Progress("begin", "looking at what runs here"))
    changes: Changes = field(factory=Changes)
    _running: bool = False
    _failure: ColoError | None = None
    _link_failure: ColoError | None = None

    async def protect(self) -> AsyncGenerator[Progress, None]:
        """See AgentService.protect."""
        if not self._running:
            self._running, self._failure = True, None
            self.tasks.start_soon(self._attempt)
        told: Progress | None = None
        while self._running or told != self.progress:
            if told != self.progress:
                told = self.progress
                yield told
            else:
                await self.changes.wait(_TICK_S)
        if self._failure is not None:
            raise self._failure

    def copied(self, so_far: Copied) -> None:
        """The pre-copy has begun a round, or is so far in it."""
        why = f"round {so_far.number}: {so_far.pages} pages"
        if so_far.stopped:
            why += f", the VM is stopped for {so_far.stopped:.0%} of the time, as it writes too fast"
        self._tell(
            Progress(
                "pre-copy",
                why,
                so_far.number,
                so_far.done * _PAGE,
                so_far.pages * _PAGE,
                so_far.sent_bytes,
                round(so_far.rate),
                so_far.stopped,
            )
        )

    def link_failed(self, error: Exception) -> None:
        """The link that was being made will not become a pairing."""
        self._link_failure = error if isinstance(error, ColoError) else PeerUnreachableError(str(error))
        self.loop.journal.note("link-failed", str(error))
        self.loop.changes.tell()

    async def boot(self) -> None:
        """Runs the VM here, unprotected. Raises LeaseError, RefusedError, and what QEMU's start raises."""
        role = self.loop.role
        was_idle = role.state is State.IDLE
        if was_idle:
            self.loop.inbox.post(lambda: self.loop.step_role(Boot()))
            with anyio.move_on_after(_BOOT_S):
                await self._until(lambda: role.state is not State.IDLE)
                await self._lease()
                await self._until(lambda: self._vm_runs() or role.state is not State.UNPROTECTED)
        if not was_idle and not self._vm_runs():
            raise RefusedError(
                f"the VM does not run on this host: {role.why}",
                "ask on the host that runs it; `colo lease show` says which",
            )
        if not self._vm_runs():
            raise self.loop.duties.failure or QemuError(role.why, "see the agent's log")

    async def _lease(self) -> None:
        """Until the witness has said who runs the VM."""
        loop, role = self.loop, self.loop.role
        last_word = anyio.current_time()
        while role.state is State.STARTING:
            if not loop.witness_trouble:
                last_word = anyio.current_time()
            elif anyio.current_time() - last_word > _WITNESS_S:
                loop.tell_role(BootGivenUp(loop.witness_trouble))
            await loop.changes.wait(_TICK_S)
        if role.state is State.IDLE:
            raise LeaseError(role.why, _LEASE_HINT)

    async def _attempt(self) -> None:
        try:
            await self._steps()
        except ColoError as error:
            self._failure = error
            self.loop.journal.note("not-protected", error.message)
        finally:
            self._running = False
            self.changes.tell()

    async def _steps(self) -> None:
        role = self.loop.role
        if role.state is State.PROTECTED:
            self._tell(Progress("protected", role.why))
            return
        if role.state is State.IDLE:
            self._tell(Progress("boot", "starting the VM"))
        await self.boot()
        if role.state not in _FILLING:
            if role.state not in _RUNS:
                raise RefusedError(f"this agent cannot protect now: {role.why}", "see `colo status`")
            await self._pair()
        await self._fill()

    async def _pair(self) -> None:
        self._tell(Progress("connect", f"connecting to {self.loop.config.agent.peer}"))
        self._link_failure = None
        await self.link.call()
        with anyio.move_on_after(_READY_S):
            await self._until(lambda: self.link.free or self.loop.role.state not in _RUNS)
        if self._link_failure is not None:
            raise self._link_failure
        if self.loop.role.state in _RUNS:
            if not self.link.free:
                self.loop.inbox.post(lambda: self.link.drop(f"no replica within {_READY_S:g} s"))
                await self._until(lambda: self.link.free)
            raise self._no_replica()

    async def _fill(self) -> None:
        role = self.loop.role
        while role.state in _FILLING:
            await self.loop.changes.wait(_TICK_S)
        if role.state is not State.PROTECTED:
            primary = self.loop.duties.primary
            if primary is not None and not primary.work.peer_started.is_set():
                raise self._no_replica()
            raise PeerUnreachableError(f"the VM is not protected: {role.why}", "see the log of both agents")
        self._tell(Progress("protected", role.why))

    def _no_replica(self) -> PeerUnreachableError:
        peer = self.loop.config.agent.peer_node
        return PeerUnreachableError(f"{peer} made no replica: {self.link.why}", "see the log of its agent")

    def _vm_runs(self) -> bool:
        vm = self.loop.duties.vm
        return vm is not None and vm.running

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.loop.changes.wait(_TICK_S)

    def _tell(self, progress: Progress) -> None:
        self.progress = progress
        self.changes.tell()
