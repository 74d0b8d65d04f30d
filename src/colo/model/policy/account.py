"""What the policy decided and why, as an operator reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colo.model.policy.figures import WINDOW_NS
from colo.model.policy.machine import HALF
from colo.model.policy.table import State

if TYPE_CHECKING:
    from colo.model.policy.machine import Policy

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


@frozen
class Measured:
    """One figure. `limit`: reached, lock-step is too much; `back`: below it, lock-step may come back."""

    name: str
    value: float
    limit: float
    back: float
    unit: str


@frozen
class Account:
    """The state of a policy. `earliest_ms`, `latest_ms`: from the end of a checkpoint to the next, if one
    ended now; `earliest_ms` is None in lock-step, `latest_ms` where only need makes one.
    """

    mode: str
    since_s: float
    why: str
    outlook: str
    changes: int
    earliest_ms: float | None
    latest_ms: float | None
    pace: str
    measured: tuple[Measured, ...]


def account(policy: Policy, now: int) -> Account:
    """All of it, at this moment."""
    latest = policy.pace().period_ns
    return Account(
        mode="epoch" if policy.rests else "lockstep",
        since_s=round((now - policy.since) / _NS_PER_S, 1),
        why=policy.why,
        outlook=_outlook(policy, now),
        changes=policy.changes,
        earliest_ms=round(policy.epochs.earliest_ns(now) / _NS_PER_MS, 1) if policy.rests else None,
        latest_ms=latest / _NS_PER_MS if latest else None,
        pace=_pace(policy, latest),
        measured=_measured(policy, now),
    )


def _outlook(policy: Policy, now: int) -> str:
    left_s = max(policy.since + policy.wait_ns - now, 0) / _NS_PER_S
    window_s = WINDOW_NS // _NS_PER_S
    return {
        State.LOCKSTEP: f"epochs, when one of the figures, over {window_s} s, reaches its limit",
        State.TRIAL: f"lock-step stays if after {window_s} s all figures are below half of their limits",
        State.EPOCH: f"lock-step is tried again in {left_s:.0f} s",
        State.ALWAYS_LOCKSTEP: "nothing: checkpoint.mode is lockstep",
        State.ALWAYS_EPOCH: "nothing: checkpoint.mode is epoch",
    }[policy.state]


def _pace(policy: Policy, latest: int) -> str:
    if policy.rests:
        return (
            f"when an answer waits, {policy.limits.epoch_min_ms} ms after the last one at the earliest, while"
            f" the VM stands still for less than {policy.limits.paused_percent} % of the time (usual pause:"
            f" {policy.epochs.pause_ns / _NS_PER_MS:.1f} ms); without one after {latest / _NS_PER_MS:.0f} ms"
        )
    return f"{latest / _NS_PER_MS:.0f} ms after the last one" if latest else "only when needed"


def _measured(policy: Policy, now: int) -> tuple[Measured, ...]:
    limits, figures = policy.limits, policy.figures(now)
    rows = (
        ("time in forced checkpoints", figures.forced_percent, limits.forced_percent, "%"),
        ("time the VM stood still for them", figures.paused_percent, limits.paused_percent, "%"),
        ("waiting, compared with epochs", figures.wait_percent, limits.wait_percent, "%"),
        ("time that agreement takes", figures.lag_ms, limits.lag_ms, "ms"),
    )
    return tuple(Measured(name, value, limit, HALF * limit, unit) for name, value, limit, unit in rows)
