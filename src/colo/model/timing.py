"""The timing table: how long everybody waits, and why the waits fit each other.

The life of a lease, from the last renewal that reached the witness (defaults):

    P: 0 asks ── output may leave ─────────────────────────────── 1800 ┃ gate closed, VM stopped
           500 renewal lost    1100 lost    1700 lost                  ┃
    W:    grants (later than P counts from) ─────────────────────────────────── 2000+ ┃ lease over
    S:           700 silence: P lost ─ asks ─ held ─ asks ─ held ─ ... ─────────────── ┃ granted: promotes

P counts from *before* it asked and stops `clock_margin` early, the witness counts from after: even with
clocks that run apart, P's last frame is out before S's first. A peer that is lost is noticed well before
the lease is over, so that the promotion waits for the lease and for nothing else.
"""

from __future__ import annotations

from attrs import fields, frozen

_NS_PER_MS = 1_000_000


@frozen
class Timing:
    """The `[timing]` section, in milliseconds."""

    heartbeat_ms: int = 100
    peer_timeout_ms: int = 700
    stall_timeout_ms: int = 2000
    lease_ttl_ms: int = 2000
    lease_renew_ms: int = 500
    clock_margin_ms: int = 200
    qmp_timeout_ms: int = 2000
    pause_timeout_ms: int = 2500
    checkpoint_timeout_ms: int = 5000

    @property
    def gate_ns(self) -> int:
        """How long after asking for a renewal output may leave."""
        return (self.lease_ttl_ms - self.clock_margin_ms) * _NS_PER_MS

    @property
    def renew_ns(self) -> int:
        """Between two renewals; also the deadline of one request to the witness."""
        return self.lease_renew_ms * _NS_PER_MS

    @property
    def retry_ns(self) -> int:
        """Between two tries of a request that the witness refused for now or did not answer."""
        return self.heartbeat_ms * _NS_PER_MS

    @property
    def pause_ns(self) -> int:
        """How long the VM may stand still for a checkpoint, and how long for it to run again then."""
        return self.pause_timeout_ms * _NS_PER_MS

    @property
    def checkpoint_ns(self) -> int:
        """A checkpoint's deadline, from its trigger to LOADED or STORED."""
        return self.checkpoint_timeout_ms * _NS_PER_MS


def problems(timing: Timing) -> tuple[str, ...]:
    """Every inequality that does not hold, as a sentence; empty when all fit."""
    found = [
        f"{field.name} ({getattr(timing, field.name)}) must be at least 1"
        for field in fields(Timing)
        if getattr(timing, field.name) < 1
    ]
    for left, right, why in (*_of_peers(timing), *_of_lease(timing)):
        if left[1] < right[1]:
            found.append(f"{left[0]} ({left[1]}) must be at least {right[0]} ({right[1]}): {why}")
    return tuple(found)


_Side = tuple[str, int]
_Rule = tuple[_Side, _Side, str]
"""The left side must be at least the right one, and why."""


def _of_peers(t: Timing) -> tuple[_Rule, ...]:
    return (
        (
            ("peer_timeout_ms", t.peer_timeout_ms),
            ("3 * heartbeat_ms", 3 * t.heartbeat_ms),
            "one or two late heartbeats are no dead peer",
        ),
        (
            ("stall_timeout_ms", t.stall_timeout_ms),
            ("peer_timeout_ms", t.peer_timeout_ms),
            "a decision loop may pause for longer than the heartbeat thread",
        ),
        (
            ("pause_timeout_ms", t.pause_timeout_ms),
            ("qmp_timeout_ms", t.qmp_timeout_ms),
            "a slow step must fail by itself, with its own name",
        ),
        (
            ("checkpoint_timeout_ms", t.checkpoint_timeout_ms),
            ("2 * qmp_timeout_ms", 2 * t.qmp_timeout_ms),
            "a slow step must fail by itself, with its own name",
        ),
        (
            ("checkpoint_timeout_ms", t.checkpoint_timeout_ms),
            ("pause_timeout_ms", t.pause_timeout_ms),
            "the pause is part of the checkpoint",
        ),
    )


def _of_lease(t: Timing) -> tuple[_Rule, ...]:
    gate = ("lease_ttl_ms - clock_margin_ms", t.lease_ttl_ms - t.clock_margin_ms)
    return (
        (
            gate,
            ("2 * lease_renew_ms", 2 * t.lease_renew_ms),
            "one lost renewal must not stop the VM",
        ),
        (
            gate,
            ("peer_timeout_ms + lease_renew_ms", t.peer_timeout_ms + t.lease_renew_ms),
            "a lost secondary must be struck off at the witness before the primary's own lease runs out",
        ),
        (
            ("lease_renew_ms", t.lease_renew_ms),
            ("heartbeat_ms", t.heartbeat_ms),
            "a heartbeat is also how soon a request to the witness is tried again",
        ),
        (
            ("clock_margin_ms", t.clock_margin_ms),
            ("1 % of lease_ttl_ms", -(-t.lease_ttl_ms // 100)),
            "the clocks of two hosts run apart",
        ),
    )
