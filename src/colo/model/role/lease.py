"""The traffic with the witness that a state wishes for, and the gate that follows from it.

One request at a time; what is asked next follows from the wish (`states.WISHES`) when the last one is
answered. The agent gives each request a deadline of `lease_renew` and always feeds one answer.

**The gate.** Output may leave only before the gate, a time of CLOCK_BOOTTIME. While a standby may be named
at the witness, the gate is `ttl - margin` after the last accepted request was *sent*: the standby can have
the lease `ttl` after it *arrived* at the earliest. From the moment that naming a standby is asked for, not
from the answer: the answer may be lost. While the witness has confirmed that there is no standby, nobody
else can get the lease, however long it is not renewed: the gate stays open, and the loss of the witness
does not stop a VM that is alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from attrs import frozen

from colo.model.errors import LocalError
from colo.model.role.events import (
    GateClosed,
    LeaseDenied,
    LeaseEvent,
    LeaseGone,
    LeaseTaken,
    LeaseWon,
    StandbyCleared,
    StandbyNamed,
)
from colo.model.role.states import Wish

if TYPE_CHECKING:
    from colo.model.timing import Timing

FOREVER = 2**63 - 1
"""A gate that does not close by itself."""

_OPEN_WISHES = frozenset({Wish.KEEP, Wish.NAME_STANDBY, Wish.CLEAR_STANDBY})


# --- actions; each request is answered by exactly one answer ---


@frozen
class AcquireLease:
    """`acquire` at the witness. `seen`: the last token that is known; 0 is none."""

    seen: int


@frozen
class RenewLease:
    """`renew` at the witness."""

    token: int


@frozen
class NameStandby:
    """`set_standby` at the witness. `serial` grows: one that comes late must not undo a later one."""

    token: int
    serial: int
    standby: str | None


@frozen
class ReleaseLease:
    """`release` at the witness."""

    token: int


@frozen
class SetGate:
    """Output may leave until then (ns of CLOCK_BOOTTIME); 0 closes it at once."""

    until_ns: int


LeaseRequest = AcquireLease | RenewLease | NameStandby | ReleaseLease
LeaseAction = LeaseRequest | SetGate


# --- answers ---


@frozen
class LeaseGranted:
    """The witness carried the request out. `sent_ns` is CLOCK_BOOTTIME from before it was sent."""

    token: int
    sent_ns: int


@frozen
class LeaseHeld:
    """Acquire only: the lease has not run out yet, or `token`, its last, was not seen."""

    holder: str
    token: int = 0


@frozen
class LeaseRefused:
    """The witness refused for good (not-eligible, stale, full)."""

    why: str


@frozen
class WitnessUnreachable:
    """No answer within the deadline. The request may have been carried out."""

    why: str


LeaseAnswer = LeaseGranted | LeaseHeld | LeaseRefused | WitnessUnreachable


class LeaseKeeper:
    """One agent's side of the lease. `token` is 0 while none is held."""

    def __init__(self, node: str, timing: Timing) -> None:
        self.token = 0
        self.trouble = ""
        self._node = node
        self._timing = timing
        self._asked: LeaseRequest | None = None
        self._asked_for = Wish.NOTHING
        self._wish = Wish.NOTHING
        self._serial = 0
        self._seen = 0
        self._next_ask = 0
        self._sent_ns = 0
        self._standby_possible = False
        self._told_gate = 0
        self._closed_gate = 0

    def gate(self) -> int:
        """Until when output may leave, by what is known now."""
        if not self.token or self._wish not in _OPEN_WISHES:
            return 0
        return self._sent_ns + self._timing.gate_ns if self._standby_possible else FOREVER

    def next_timer(self) -> int | None:
        """When `wish` or `expired` has something to do."""
        times = [self.gate()] if self.gate() not in (0, FOREVER, self._closed_gate) else []
        if self._asked is None and self._wants() is not None:
            times.append(self._next_ask)
        return min(times, default=None)

    def expired(self, now: int) -> LeaseEvent | None:
        """GateClosed, once for each gate that has passed."""
        gate = self.gate()
        if now < gate or gate in (0, self._closed_gate):
            return None
        self._closed_gate = gate
        return GateClosed(f"the lease could not be renewed ({self.trouble or 'no answer yet'})")

    def wish(self, wish: Wish, standby: str | None, now: int) -> tuple[LeaseAction, ...]:
        """Says what the state wants; asks for it when it is time and nothing is under way."""
        if wish is not self._wish:
            self._wish = wish
            self._next_ask = self._sent_ns + self._timing.renew_ns if wish is Wish.KEEP else now
        if self._asked or self._wants() is None or now < self._next_ask:
            return self._gate_changed()
        ask = self._request(standby)
        self._asked, self._asked_for = ask, wish
        if wish is Wish.NAME_STANDBY and not self._standby_possible:
            self._standby_possible, self._sent_ns = True, now
        return (*self._gate_changed(), ask)

    def _gate_changed(self) -> tuple[SetGate, ...]:
        gate, told = self.gate(), self._told_gate
        self._told_gate = gate
        return (SetGate(gate),) if gate != told else ()

    def _wants(self) -> Wish | None:
        """The wish, unless it is fulfilled."""
        if self._wish is Wish.HOLD_STILL or (self._wish is Wish.NOTHING and not self.token):
            return None
        return self._wish

    def _request(self, standby: str | None) -> LeaseRequest:
        match self._wish:
            case Wish.ACQUIRE:
                return AcquireLease(self._seen)
            case Wish.NAME_STANDBY | Wish.CLEAR_STANDBY:
                self._serial += 1
                name = standby if self._wish is Wish.NAME_STANDBY else None
                return NameStandby(self.token, self._serial, name)
            case Wish.NOTHING:
                return ReleaseLease(self.token)
            case Wish.KEEP | Wish.HOLD_STILL:
                return RenewLease(self.token)
            case _:
                assert_never(self._wish)

    def answer(self, answer: LeaseAnswer, now: int) -> LeaseEvent | None:
        """What an answer means to the role; None when it is only a matter of time."""
        asked, self._asked = self._asked, None
        if asked is None:
            raise LocalError(f"{type(answer).__name__} answers no request")
        # The state may have changed meanwhile: then it is asked at once for what it wants now.
        outdated = self._asked_for is not self._wish
        self._next_ask = now if outdated else now + self._timing.retry_ns
        match answer:
            case LeaseGranted():
                self.trouble = ""
                return self._granted(asked, answer, outdated=outdated)
            case LeaseHeld():
                return self._held(answer, now)
            case LeaseRefused(why):
                return self._refused(asked, why)
            case WitnessUnreachable(why):
                self.trouble = why
                gone = isinstance(asked, ReleaseLease)  # one that cannot be given back runs out
                return self._gone(f"the lease runs out by itself ({why})") if gone else None
            case _:
                assert_never(answer)

    def _granted(self, asked: LeaseRequest, answer: LeaseGranted, *, outdated: bool) -> LeaseEvent | None:
        if isinstance(asked, ReleaseLease):
            return self._gone("the lease is given back")
        self.token = self._seen = answer.token
        self._sent_ns = answer.sent_ns
        if not outdated:
            self._next_ask = answer.sent_ns + self._timing.renew_ns
        match asked:
            case AcquireLease():
                self._standby_possible, self._serial = False, 0
                return LeaseWon(f"the witness granted token {self.token}")
            case NameStandby(standby=None):
                self._standby_possible = False
                return StandbyCleared("the witness has struck the secondary off")
            case NameStandby(standby=standby):
                return StandbyNamed(f"the witness knows {standby} as the standby")
            case RenewLease():
                return None
            case _:
                assert_never(asked)

    def _held(self, answer: LeaseHeld, now: int) -> LeaseEvent | None:
        self.trouble = f"{answer.holder} holds the lease"
        if answer.token > self._seen:
            self._seen, self._next_ask = answer.token, now  # now that it is seen, the answer may be another
            return None
        return LeaseTaken(self.trouble) if answer.holder != self._node else None

    def _refused(self, asked: LeaseRequest, why: str) -> LeaseEvent:
        self.trouble = why
        if isinstance(asked, ReleaseLease):
            return self._gone(why)
        self.token = 0
        return LeaseDenied(why)

    def _gone(self, why: str) -> LeaseGone:
        self.token = 0
        return LeaseGone(why)
