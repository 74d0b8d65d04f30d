"""What an agent offers to its operator: the shapes that go over the API, and the interface behind it.

All of them are plain data: strings, numbers, and tables of these. Times are in the unit that the name says.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator  # noqa: TC003 - read at run time by whoever checks the Protocol
from typing import Protocol

from attrs import Factory, frozen


@frozen
class Phase:
    """A phase over all checkpoints since the agent started; docs/checkpoint.md has them."""

    count: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0


@frozen
class Checkpoints:
    """Counted since the agent started. `last_phases_ms`: those of the last one on this host, and `phases`
    of all; the secondary's have other names than the primary's. `received`: how many of a primary's were put
    in place here. `last_sent`: its pages by the way they went to the secondary (zero, equal, delta, lz4,
    raw), and its bytes, bytes_before and bytes_sent. `verified`: how often the secondary's memory (cache,
    VM) was compared with the primary's and equal; on the secondary, with `checkpoint.verify`.
    """

    total: int = 0
    by_reason: dict[str, int] = Factory(dict)
    last_phases_ms: dict[str, float] = Factory(dict)
    median_pause_ms: float | None = None
    last_sent: dict[str, int] = Factory(dict)
    verified: dict[str, int] = Factory(dict)
    received: int = 0
    phases: dict[str, Phase] = Factory(dict)


@frozen
class Status:
    """One moment of an agent.

    `state`: unprotected, syncing, protected, degraded, failing-over, fenced, idle or standby. `mode`:
    lockstep or epoch, None when there is no pair. `step`: where the checkpoint in flight is; while there
    is none `running`, or `resting` for a copy that rests; `idle` without a pair. `token`: of the lease
    that this node holds or held last. `why`: the sentence of the last transition. `traffic`: counters of
    the relay. `divergences`: how many of each kind since the agent started.
    """

    node: str
    vm: str
    role: str
    state: str
    mode: str | None
    epoch: int
    token: int | None
    why: str
    peer: str
    uptime_s: float
    step: str = "idle"
    checkpoints: Checkpoints = Factory(Checkpoints)
    traffic: dict[str, int] = Factory(dict)
    divergences: dict[str, int] = Factory(dict)
    qemu: str | None = None
    qemu_pid: int | None = None
    tracker: str | None = None
    accel: str | None = None


@frozen
class Progress:
    """One step on the way to protection.

    `phase`: what is being done, in a word (connect, pre-copy, checkpoint, protected). `done_bytes` of
    `total_bytes` of this phase; both 0 where there is nothing to count. `round`: pre-copy round, from 1.
    `sent_bytes`: what these took on the link, `rate_bytes_s`: in a second. `stopped`: the share of the time
    for which the VM is stopped, because it writes faster than the link carries.
    """

    phase: str
    why: str = ""
    round: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    sent_bytes: int = 0
    rate_bytes_s: int = 0
    stopped: float = 0.0

    @property
    def sentence(self) -> str:
        """`connect: connecting to 10.0.0.2:7700`."""
        return self.why if self.why.startswith(self.phase) else f"{self.phase}: {self.why}"


@frozen
class CheckpointReport:
    """A checkpoint that was asked for and is committed."""

    checkpoint: int
    reason: str
    pages: int
    state_bytes: int
    pause_ms: float
    phases_ms: dict[str, float] = Factory(dict)


@frozen
class Divergence:
    """The two copies said different things, or one of them said nothing.

    `number` counts from 1 since the agent started. `at_ns`: when it was noticed (CLOCK_BOOTTIME). `flow`: the
    guest's side first. `kind`: stream, end (FIN or RST), handshake, message, or missing (the hold limit).
    `offset`: in the TCP stream, from the first byte that was compared, or in the message. `primary`,
    `secondary`: at most 16 bytes of each from there, in hexadecimal. `held_ms`: how long the primary's oldest
    frame of this flow had waited by then.
    """

    number: int
    at_ns: int
    epoch: int
    nic: int
    flow: str
    kind: str
    offset: int | None
    primary: str
    secondary: str
    held_ms: float
    detail: str


@frozen
class Divergences:
    """All counted by kind since the agent started; the last 256 of them, oldest first."""

    by_kind: dict[str, int] = Factory(dict)
    last: tuple[Divergence, ...] = ()


@frozen
class Measured:
    """A figure of the policy. `limit`: reached, lock-step is too much; `back`: below it, it may come back."""

    name: str
    value: float
    limit: float
    back: float
    unit: str


@frozen
class Why:
    """What the policy does and why. `mode`: lockstep or epoch, for `since_s` seconds; `outlook`: what would
    change it; `changes`: changes of mode since the VM is protected; `pace`: when the next checkpoint comes,
    between `earliest_ms` (None in lock-step) and `latest_ms` (None: only when needed) after the last one.
    """

    mode: str
    since_s: float
    why: str
    outlook: str
    changes: int
    earliest_ms: float | None
    latest_ms: float | None
    pace: str
    measured: tuple[Measured, ...] = ()


@frozen
class AgentEvent:
    """Something that happened. `at_ns`: CLOCK_BOOTTIME. `details`: numbers and words that belong to it."""

    at_ns: int
    kind: str
    why: str
    details: dict[str, str | int | float] = Factory(dict)


class AgentService(Protocol):
    """Implemented by the agent. Any ColoError becomes the answer; RefusedError: it does not fit the state."""

    async def status(self) -> Status:
        """At once, from memory."""
        ...

    def events(self) -> AsyncGenerator[AgentEvent, None]:
        """From now on, until closed. A reader may be slow: the agent bounds what waits for it."""
        ...

    async def divergences(self) -> Divergences:
        """At once, from memory."""
        ...

    async def why(self) -> Why:
        """Lock-step or epochs, and why; at once, from memory."""
        ...

    def protect(self) -> AsyncGenerator[Progress, None]:
        """Begin (or join) the protection and tell how it goes; ends once the VM is protected.

        Closing the generator ends the watching, not the protection.
        """
        ...

    async def checkpoint(self) -> CheckpointReport:
        """Take one now; returns when it is committed."""
        ...

    async def failover(self) -> str:
        """Hand the VM over to the other host; the sentence says what was done."""
        ...

    async def shutdown(self) -> None:
        """Begin to end the agent; returns at once."""
        ...
