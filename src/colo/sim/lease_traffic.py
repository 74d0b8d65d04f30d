"""Between an agent's role machine and the witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model import witness as lease
from colo.model.role import lease as ask
from colo.sim.loop import MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.sim.hosts import Host
    from colo.sim.world import World


class LeaseTraffic:
    """One request at a time: of one that is given up or followed by another, no answer is told."""

    def __init__(self, world: World, host: Host, feed: Callable[[ask.LeaseAnswer], None]) -> None:
        self._world, self._host, self._feed = world, host, feed
        self._request = 0

    def send(self, action: ask.LeaseRequest) -> None:
        """The answer is fed, or in time that there is none."""
        node, sent, timing = self._host.name, self._host.clock(), self._world.timing
        request: lease.Request
        match action:
            case ask.AcquireLease(seen):
                request = lease.Acquire("vm", node, timing.lease_ttl_ms * MS, seen)
            case ask.RenewLease(token):
                request = lease.Renew("vm", node, token)
            case ask.NameStandby(token, serial, standby):
                request = lease.SetStandby("vm", node, token, serial, standby)
            case ask.ReleaseLease(token):
                request = lease.Release("vm", node, token)
        self._request += 1
        number = self._request

        def answered(answer: lease.Answer) -> None:
            self._answered(number, _meaning(answer, sent))

        def late() -> None:
            self._answered(number, ask.WitnessUnreachable("the witness does not answer"))

        self._world.witness.ask(self._host, request, answered)
        self._host.after(self._host.until(sent + timing.renew_ns), "agent", late)

    def _answered(self, number: int, answer: ask.LeaseAnswer) -> None:
        if number == self._request:  # else: given up, or answered already
            self._request += 1
            self._feed(answer)


def _meaning(answer: lease.Answer, sent: int) -> ask.LeaseAnswer:
    match answer:
        case lease.Granted(record):
            return ask.LeaseGranted(record.token, sent)
        case lease.Refused(lease.Refusal.HELD, record) if record:
            return ask.LeaseHeld(record.holder, record.token)
        case lease.Refused(refusal):
            return ask.LeaseRefused(refusal.value)
