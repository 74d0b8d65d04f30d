"""The decision loop: one job at a time through the machines, then their timers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from attrs import define, field

from colo import _core
from colo.agent import lease_traffic
from colo.agent.inbox import Changes, Inbox
from colo.agent.turns import Turns
from colo.model.errors import NotNowError, PeerError
from colo.model.role import lease
from colo.model.role.events import HigherToken, PeerLost
from colo.model.timers import soonest

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from colo._core import Relay
    from colo.agent.duties import Duties
    from colo.agent.journal import Journal
    from colo.agent.relay_events import RelayEvents
    from colo.agent.seen_token import SeenToken
    from colo.config import Config
    from colo.lock.client import LeaseClient
    from colo.model.role.events import Event
    from colo.model.role.machine import Role

_LONGEST_WAIT_S = 0.05
"""The loop turns at least this often: its turns are the progress that heartbeats carry."""
_NS = 1_000_000_000
_REQUESTS = (lease.AcquireLease, lease.RenewLease, lease.NameStandby, lease.ReleaseLease)
_log = structlog.get_logger()


@define(eq=False)
class DecisionLoop:
    """The only caller of the machines. Its methods run inside the loop; from elsewhere use `inbox.post`."""

    config: Config
    relay: Relay
    role: Role
    witness: LeaseClient
    seen: SeenToken
    inbox: Inbox
    journal: Journal
    tasks: TaskGroup
    changes: Changes = field(factory=Changes)
    duties: Duties = field(init=False)
    relay_events: RelayEvents = field(init=False)
    witness_trouble: str = ""
    """Why the witness did not answer the last request; empty when it did."""
    _why: str = ""

    async def run(self) -> None:
        """Until cancelled."""
        turns = Turns(self._turn, self.hear_relay)
        self.inbox.posted = turns.soon
        await turns.run(self.relay.fileno())

    def _turn(self) -> float:
        self.relay.progress()
        while job := self.inbox.take():
            self.guard(job)
        self.guard(self._timers)
        return self._until_timer()

    def hear_relay(self) -> None:
        """Posts what the relay has reported by now."""
        for event in self.relay.events():
            self.inbox.post(lambda event=event: self.relay_events.take(event))  # type: ignore[misc]

    def guard(self, job: Callable[[], None]) -> None:
        """Runs a job. The peer's faults end the pairing, not the agent; an operator's request out of time is
        only noted.
        """
        try:
            job()
        except PeerError as error:
            self._peer_broke_protocol(str(error))
        except NotNowError as error:
            self.journal.note("not-now", str(error))

    def step_role(self, event: Event | lease.LeaseAnswer) -> None:
        """One event through the role machine, and what follows from it."""
        self._carry_out(self.role.step(event, _core.boottime_ns()))

    def tell_role(self, event: Event) -> None:
        """As `step_role`, but after the job that is being done."""
        self.inbox.post(lambda: self.step_role(event))

    def seen_token(self, node: str, token: int) -> None:
        """The peer's Hello showed this token."""
        self.seen.see(token)
        if token > self.role.token > 0:
            self.step_role(HigherToken(node, token))

    def _peer_broke_protocol(self, why: str) -> None:
        self.journal.note("peer-error", why)
        self.duties.link.offended(why)
        self.step_role(PeerLost(why))

    def _timers(self) -> None:
        now = _core.boottime_ns()
        self._carry_out(self.role.handle_timer(now))
        if self.duties.primary is not None:
            self.duties.primary.handle_timer(now)

    def _until_timer(self) -> float:
        now = _core.boottime_ns()
        primary = self.duties.primary
        due = soonest(self.role.next_timer(), primary.next_timer() if primary else None)
        return _LONGEST_WAIT_S if due is None else min(max(due - now, 0) / _NS, _LONGEST_WAIT_S)

    def _carry_out(self, actions: tuple[Any, ...]) -> None:
        for action in actions:
            if isinstance(action, lease.SetGate):
                self.relay.gate(action.until_ns)
            elif isinstance(action, _REQUESTS):
                self.tasks.start_soon(self._ask_witness, action)
            else:
                self.duties.carry_out(action)
        if self.role.why != self._why:
            self._why = self.role.why
            self.journal.note(
                "role", self._why, state=self.role.word, role=self.role.state.value, token=self.role.token
            )
            self.changes.tell()

    async def _ask_witness(self, request: lease.LeaseRequest) -> None:
        answer = await lease_traffic.carry(self.witness, request, self.config.timing.lease_ttl_ms)
        self.inbox.post(lambda: self._take_answer(answer))

    def _take_answer(self, answer: lease.LeaseAnswer) -> None:
        self.witness_trouble = answer.why if isinstance(answer, lease.WitnessUnreachable) else ""
        if isinstance(answer, lease.LeaseGranted):
            self.seen.see(answer.token)
        self.step_role(answer)
