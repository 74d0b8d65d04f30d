"""The role machine: the table and the lease keeper as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict

from colo.model.role.actions import RoleAction
from colo.model.role.events import Event, LeaseEvent, PrimaryJoined, SecondaryJoined
from colo.model.role.lease import (
    LeaseAction,
    LeaseAnswer,
    LeaseGranted,
    LeaseHeld,
    LeaseKeeper,
    LeaseRefused,
    WitnessUnreachable,
)
from colo.model.role.states import WISHES, WORDS, State
from colo.model.role.table import TABLE, To
from colo.model.table import Fault, blame

if TYPE_CHECKING:
    from colo.model.timing import Timing

Action = RoleAction | LeaseAction
_ANSWERS = (LeaseGranted, LeaseHeld, LeaseRefused, WitnessUnreachable)
_MAY_PROTECT = frozenset({State.UNPROTECTED, State.DEGRADED})


class Role:
    """The role of one agent. `why` is the sentence of the last change, `peer` the last pairing's."""

    def __init__(self, node: str, timing: Timing) -> None:
        self.state = State.IDLE
        self.why = "idle: no VM here yet"
        self.peer: str | None = None
        self._lease = LeaseKeeper(node, timing)

    @property
    def word(self) -> str:
        """The VM's state as people name it."""
        return WORDS[self.state]

    @property
    def token(self) -> int:
        """The token of the lease that is held; 0 without."""
        return self._lease.token

    @property
    def may_protect(self) -> bool:
        """Whether a SecondaryJoined fits now."""
        return self.state in _MAY_PROTECT

    @property
    def may_join(self) -> bool:
        """Whether a PrimaryJoined fits now."""
        return self.state is State.IDLE

    def next_timer(self) -> int | None:
        """When `handle_timer` is due."""
        return self._lease.next_timer()

    def handle_timer(self, now: int) -> tuple[Action, ...]:
        """To be called at `next_timer()` or later; does nothing when called early."""
        closed = self._lease.expired(now)
        done = self._move(closed) if closed else ()
        return (*self._wish(now), *done)

    def step(self, event: Event | LeaseAnswer, now: int) -> tuple[Action, ...]:
        """The next actions. Raises PeerError, NotNowError or LocalError, and has then changed nothing."""
        if isinstance(event, _ANSWERS):
            meaning = self._lease.answer(event, now)
            done = self._move(meaning) if meaning else ()
        else:
            done = self._move(event)
        return (*self._wish(now), *done)

    def _wish(self, now: int) -> tuple[LeaseAction, ...]:
        """Comes before the role's own actions: the gate closes first, and is open before a release."""
        return self._lease.wish(WISHES[self.state], self.peer, now)

    def _move(self, event: Event | LeaseEvent) -> tuple[RoleAction, ...]:
        entry = TABLE[self.state][type(event)]
        if isinstance(entry, Fault):
            blame(entry, self.state, event)
        if not isinstance(entry, To):
            return ()  # ignored
        if isinstance(event, SecondaryJoined | PrimaryJoined):
            self.peer = event.node
        self.state = entry.state
        self.why = entry.why.format(before=self.why, **asdict(event))
        return tuple(make(self.why) for make in entry.do)
