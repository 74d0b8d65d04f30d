"""What the witness remembers, and whom it lets run a VM.

For each VM one record: who holds the lease, who may take over (`standby`), until when, and a token that
grows by one with each grant. Three rules make two primaries impossible:

- a lease is granted only when there is none, or when the last one has run out or was given back;
- and then only to the standby that the holder named, or to the last holder. That one can only start the VM
  anew, so it waits for one more ttl while there is a standby, which knows more;
- every grant clears the standby, so a replica that was left behind is refused for ever.

An accepted request of the holder renews its lease. A lease that ran out is still the holder's until
somebody takes it. `now` is the witness's own monotonic clock; it compares it with nobody else's. Pure:
`step(state, request, now)`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, assert_never

from attrs import evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_VMS = 1024
"""A new VM beyond this many is refused (`Refusal.FULL`)."""


@frozen
class Record:
    """One VM's lease. `expires_ns` is 0 once it was given back, `serial` that of the last SetStandby."""

    token: int
    holder: str
    standby: str | None
    ttl_ns: int
    expires_ns: int
    serial: int = 0

    def live(self, now: int) -> bool:
        """Whether nobody else may have the lease yet."""
        return now < self.expires_ns

    def held_against(self, node: str, now: int) -> bool:
        """Whether a node that may have the lease has to wait for it."""
        replica_first = self.expires_ns and self.standby not in (None, node)
        return now < self.expires_ns + (self.ttl_ns if replica_first else 0)


@frozen
class Witness:
    """All records, by VM name."""

    records: Mapping[str, Record] = field(factory=dict)


@frozen
class Acquire:
    """`node` wants to run the VM; it will renew well within `ttl_ns`.

    `seen` is the last token of this VM that the node knows (a refusal shows the record). A request that was
    given up for lost and comes late knows an old one: it must not depose the VM that its own node runs now.
    None asks without this protection.
    """

    vm: str
    node: str
    ttl_ns: int
    seen: int | None = None


@frozen
class Renew:
    """The holder is alive."""

    vm: str
    node: str
    token: int


@frozen
class SetStandby:
    """The holder says who may take over from it, or that nobody may (None).

    `serial` grows with each under one token. One that was given up for lost and comes after a later one is
    stale: it would make a replica that was left behind a standby again.
    """

    vm: str
    node: str
    token: int
    serial: int
    standby: str | None


@frozen
class Release:
    """The holder has stopped for certain: its standby may take over at once."""

    vm: str
    node: str
    token: int


Request = Acquire | Renew | SetStandby | Release


class Refusal(Enum):
    """Why not. HELD may change by itself; the others do not."""

    HELD = "held"  # the lease has not run out, or the node has not seen its last token
    NOT_ELIGIBLE = "not-eligible"  # neither last holder nor standby
    STALE = "stale"  # the token is not that of a lease that this node holds, or the serial is an old one
    FULL = "full"


@frozen
class Granted:
    """The request was carried out; the record as it is now."""

    record: Record


@frozen
class Refused:
    """The request changed nothing. `record` is what stands in its way, if there is one."""

    refusal: Refusal
    record: Record | None


Answer = Granted | Refused


def step(witness: Witness, request: Request, now: int) -> tuple[Witness, Answer]:
    """The witness after the request, and the answer, which must not leave before the state is durable."""
    record = witness.records.get(request.vm)
    if isinstance(request, Acquire):
        answer = _acquire(record, request, now, full=len(witness.records) >= MAX_VMS)
    elif record is None or _stale(record, request):
        answer = Refused(Refusal.STALE, record)
    else:
        answer = Granted(_of_holder(record, request, now))
    if isinstance(answer, Granted):
        witness = Witness({**witness.records, request.vm: answer.record})
    return witness, answer


def _acquire(record: Record | None, request: Acquire, now: int, *, full: bool) -> Answer:
    if record is None:
        if full:
            return Refused(Refusal.FULL, None)
        return Granted(Record(1, request.node, None, request.ttl_ns, now + request.ttl_ns))
    if request.node not in (record.holder, record.standby):
        return Refused(Refusal.NOT_ELIGIBLE, record)
    if record.held_against(request.node, now) or request.seen not in (None, record.token):
        return Refused(Refusal.HELD, record)
    return Granted(Record(record.token + 1, request.node, None, request.ttl_ns, now + request.ttl_ns))


def _stale(record: Record, request: Renew | SetStandby | Release) -> bool:
    if record.expires_ns == 0 or (record.holder, record.token) != (request.node, request.token):
        return True
    return isinstance(request, SetStandby) and request.serial <= record.serial


def _of_holder(record: Record, request: Renew | SetStandby | Release, now: int) -> Record:
    match request:
        case Renew():
            return evolve(record, expires_ns=now + record.ttl_ns)
        case SetStandby(serial=serial, standby=standby):
            return evolve(record, standby=standby, serial=serial, expires_ns=now + record.ttl_ns)
        case Release():
            return evolve(record, expires_ns=0)
        case _:
            assert_never(request)


def restarted(witness: Witness, now: int) -> Witness:
    """The state after a restart: its clock may have jumped, so each lease counts as renewed just now."""
    return Witness({vm: _revived(record, now) for vm, record in witness.records.items()})


def _revived(record: Record, now: int) -> Record:
    return evolve(record, expires_ns=now + record.ttl_ns) if record.expires_ns else record


def forget(witness: Witness, vm: str) -> Witness:
    """Without this VM's record: the operator has made certain that nobody runs it."""
    return Witness({name: record for name, record in witness.records.items() if name != vm})
