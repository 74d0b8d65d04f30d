"""What the agent answers to its operator (see `colo.api.service.AgentService`)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import anyio
from attrs import asdict, define, field

from colo.agent import divergences
from colo.api.service import (
    AgentEvent,
    CheckpointReport,
    Checkpoints,
    Divergences,
    Measured,
    Phase,
    Progress,
    Status,
    Why,
)
from colo.errors import ColoError, PeerUnreachableError, RefusedError
from colo.model.checkpoint import events as checkpoint
from colo.model.checkpoint.primary_table import State as Checkpoint
from colo.model.errors import NotNowError
from colo.model.policy.account import account
from colo.model.role.events import Failover
from colo.model.role.states import State

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from colo.agent.loop import DecisionLoop
    from colo.agent.measures import CheckpointMeasure
    from colo.agent.protection import Protection
    from colo.hypervisor import Platform

_SECONDARY = frozenset({State.JOINING, State.STANDBY, State.SEEKING, State.READY, State.FINISHING})
_PAIRED = frozenset({State.PROTECTED, State.STANDBY, State.CONFIRMING})


_BEFORE_CUT = frozenset({Checkpoint.RUNNING, Checkpoint.STOPPING})
_TICK_S = 0.02


@define(eq=False)
class Service:
    """Reads the machines; changes go through the decision loop's inbox."""

    loop: DecisionLoop
    protection: Protection
    platform: Platform
    stop: anyio.Event
    _began: float = field(factory=monotonic)

    async def status(self) -> Status:
        """See AgentService."""
        config, role, duties = self.loop.config, self.loop.role, self.loop.duties
        summary = duties.measures.summary()
        return Status(
            node=config.agent.node,
            vm=config.vm.name,
            role=self._role_word(),
            state=role.word,
            mode=self._mode() if role.state in _PAIRED else None,
            epoch=self._epoch(),
            step=self._step(),
            token=role.token or None,
            why=role.why,
            peer=config.agent.peer_node,
            uptime_s=round(monotonic() - self._began, 1),
            checkpoints=Checkpoints(
                summary.total,
                summary.by_reason,
                summary.last_phases_ms,
                summary.median_pause_ms,
                summary.last.sent_counts() if summary.last else {},
                dict(duties.measures.verified),
                duties.measures.received,
                {name: Phase(**asdict(phase)) for name, phase in duties.measures.phases.items()},
            ),
            traffic=self.loop.relay.stats(),
            divergences=divergences.by_kind(self.loop.relay),
            qemu=self.platform.qemu_version,
            qemu_pid=duties.vm.hypervisor.pid if duties.vm else None,
            tracker=duties.vm.tracker_kind if duties.vm else None,
            accel=self.platform.accel,
        )

    def events(self) -> AsyncGenerator[AgentEvent, None]:
        """See AgentService."""
        return self.loop.journal.follow()

    async def divergences(self) -> Divergences:
        """See AgentService."""
        return divergences.read(self.loop.relay)

    async def why(self) -> Why:
        """See AgentService."""
        role, pairing = self.loop.role, self.loop.duties.primary
        if role.state in _SECONDARY:
            peer = self.loop.config.agent.peer_node
            raise RefusedError(f"the primary decides, {peer}", f"ask there: `colo why` at {peer}")
        if role.state not in _PAIRED or pairing is None or pairing.pacing is None:
            raise RefusedError(f"there is no pair: {role.why}", "`colo protect` makes one")
        told = account(pairing.pacing.policy, self.loop.duties.now())
        return Why(**(asdict(told) | {"measured": tuple(Measured(**asdict(one)) for one in told.measured)}))

    def protect(self) -> AsyncGenerator[Progress, None]:
        """See AgentService."""
        return self.protection.protect()

    async def checkpoint(self) -> CheckpointReport:
        """See AgentService."""
        measures, pairing = self.loop.duties.measures, self.loop.duties.primary
        if self.loop.role.state is not State.PROTECTED or pairing is None or pairing.machine is None:
            raise RefusedError(
                f"no checkpoint can be taken: {self.loop.role.why}", "ask the primary of a protected VM"
            )
        machine, wanted, before = pairing.machine, list[int](), measures.total

        def ask() -> None:
            # Before its cut a checkpoint in flight answers the request as well; after it, the next one does.
            wanted.append(machine.checkpoint + (machine.state not in _BEFORE_CUT))
            pairing.feed(checkpoint.Trigger(checkpoint.Reason.OPERATOR), self.loop.duties.now())

        self.loop.inbox.post(ask)
        deadline_s = 2 * self.loop.config.timing.checkpoint_timeout_ms / 1000
        with anyio.move_on_after(deadline_s):
            while True:
                done = next((m for m in measures.after(before) if wanted and m.checkpoint >= wanted[0]), None)
                if done is not None:
                    return _report(done)
                if self.loop.duties.primary is not pairing or self.loop.role.state is not State.PROTECTED:
                    raise PeerUnreachableError(
                        f"it was not finished: {self.loop.role.why}", "see `colo status`"
                    )
                await self.loop.changes.wait(_TICK_S)
        raise PeerUnreachableError(
            f"the checkpoint was not finished within {deadline_s:g} s", "see `colo status`"
        )

    async def failover(self) -> str:
        """See AgentService."""
        outcome: list[str | ColoError] = []
        answered = anyio.Event()

        def ask() -> None:
            try:
                self.loop.step_role(Failover())
                outcome.append(self.loop.role.why)
            except NotNowError as error:
                outcome.append(RefusedError(f"no failover now: {error}", "the VM must be protected"))
            answered.set()

        self.loop.inbox.post(ask)
        await answered.wait()
        if isinstance(outcome[0], ColoError):
            raise outcome[0]
        return outcome[0]

    async def shutdown(self) -> None:
        """See AgentService."""
        self.stop.set()

    def _role_word(self) -> str:
        if self.loop.role.state in _SECONDARY:
            return "secondary"
        return "primary" if self.loop.duties.vm is not None else "none"

    def _mode(self) -> str:
        pairing = self.loop.duties.replica or self.loop.duties.primary
        return "epoch" if pairing and pairing.machine and pairing.machine.rests else "lockstep"

    def _epoch(self) -> int:
        duties = self.loop.duties
        if duties.replica is not None:
            return duties.replica.machine.epoch
        return duties.primary.machine.checkpoint if duties.primary and duties.primary.machine else 0

    def _step(self) -> str:
        duties = self.loop.duties
        pairing = duties.replica or duties.primary
        return pairing.machine.state.value if pairing and pairing.machine else State.IDLE.value


def _report(done: CheckpointMeasure) -> CheckpointReport:
    return CheckpointReport(
        done.checkpoint, done.reason, done.pages, done.state_bytes, done.phases_ms["pause"], done.phases_ms
    )
