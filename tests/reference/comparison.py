"""The reference model: the release rule in the fewest words, as slow as it likes.

*No byte leaves that the survivor could not explain.* A frame of the primary's machine (P) goes when the
secondary's machine (S) has produced the same in the same epoch, and the secondary holds the state that this
epoch began with; or when the secondary holds a checkpoint that was cut after the frame. Bytes are compared by
their position in the stream (`connection.py`), all else message by message (`lane.py`).

Not here: flows are never forgotten, the hold limit is always its ceiling (docs/hold-limit.md: it is until a
hundred frames have agreed), and sequence numbers of one connection must stay within 2^31 of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from connection import Connection
from lane import Lane
from openings import Openings
from reading import Chore, Key, Segment, read

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000


@attrs.frozen
class Limits:
    hold_ns: int = 100 * MS
    held_bytes: int = 1 << 20
    flows: int = 1000
    pending_bytes: int = 1 << 16


@attrs.define(eq=False)
class Held:
    """A frame of P that waits."""

    nic: int
    frame: bytes
    epoch: int
    serial: int
    since: int
    timed: bool = False
    """The hold limit counts for it."""


class Outlet:
    """What all flows share: epochs, what waits, what comes out."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.current = 1  # P's epoch
        self.committed = 0  # the last checkpoint that the secondary holds
        self.held: dict[int, Held] = {}
        self.held_bytes = 0
        self.released: list[tuple[int, bytes]] = []
        self.events: list[str] = []
        self.told = self.told_queue = 0  # epochs
        self.serial = 0
        self.openings = Openings()

    def may_agree(self, epoch: int) -> bool:
        """The secondary holds the state that `epoch` began with."""
        return epoch <= self.committed + 1

    def hold(self, nic: int, frame: bytes, now: int) -> Held:
        self.serial += 1
        held = Held(nic, frame, self.current, self.serial, now)
        self.held[held.serial] = held
        self.held_bytes += len(frame)
        if self.full():
            self.queue_limit()
        return held

    def let_go(self, held: Held) -> None:
        del self.held[held.serial]
        self.held_bytes -= len(held.frame)

    def release(self, held: Held) -> None:
        self.let_go(held)
        self.released.append((held.nic, held.frame))

    def full(self) -> bool:
        return self.held_bytes >= self.limits.held_bytes

    def queue_limit(self) -> None:
        if self.told_queue < self.current:
            self.told_queue = self.current
            self.events.append("queue")

    def diverged(self, epoch: int, kind: str) -> None:
        """Of an earlier epoch than P's the checkpoint is under way."""
        if epoch == self.current and self.told < self.current:
            self.told = self.current
            self.events.append(f"divergence {kind}")


class Reference:
    """The same methods as `colo._core.Comparison`, its events in the words of the vectors."""

    def __init__(self, limits: Limits) -> None:
        self.outlet = Outlet(limits)
        self.flows: dict[Key, Connection | Lane] = {}
        self.unknown: list[Held] = []  # frames of flows for which there is no room
        self.running, self.running_since = 1, 0  # S's epoch
        self.is_alone = False

    def primary(self, nic: int, frame: bytes, now: int) -> None:
        item = read(frame, nic)
        if self.is_alone or isinstance(item, Chore):
            self.outlet.released.append((nic, frame))
            return
        flow = self._flow(item.key, isinstance(item, Segment), begins=not self.unknown)
        if flow is None:
            self.unknown.append(self.outlet.hold(nic, frame, now))
            self.outlet.queue_limit()
            return
        flow.primary(item, nic, frame, now)  # type: ignore[arg-type]

    def secondary(self, nic: int, epoch: int, frame: bytes, now: int) -> None:
        outlet = self.outlet
        item = read(frame, nic)
        if self.is_alone or isinstance(item, Chore) or not outlet.committed < epoch <= outlet.current:
            return
        begins = epoch == outlet.current and not self.unknown
        flow = self._flow(item.key, isinstance(item, Segment), begins=begins)
        if flow is not None:
            flow.secondary(item, epoch, now)  # type: ignore[arg-type]

    def _flow(self, key: Key, tcp: bool, *, begins: bool) -> Connection | Lane | None:  # noqa: FBT001
        if key not in self.flows and begins and len(self.flows) < self.outlet.limits.flows:
            self.flows[key] = Connection(self.outlet) if tcp else Lane(self.outlet)
        return self.flows.get(key)

    def cut(self, checkpoint: int, now: int) -> None:  # noqa: ARG002
        self.is_alone = False
        self.outlet.current = max(self.outlet.current, checkpoint + 1)
        self.outlet.openings = Openings()

    def commit(self, checkpoint: int, now: int) -> None:  # noqa: ARG002
        outlet = self.outlet
        if checkpoint < outlet.current:
            outlet.committed = max(outlet.committed, checkpoint)
        self._release(outlet.committed)
        for flow in self.flows.values():
            flow.committed()

    def _release(self, epoch: int) -> None:
        """All frames up to an epoch, in the order in which they came."""
        for held in list(self.outlet.held.values()):
            if held.epoch <= epoch:
                self.outlet.release(held)
        for flow in self.flows.values():
            flow.forget_released()
        self.unknown = [held for held in self.unknown if held.serial in self.outlet.held]

    def loaded(self, checkpoint: int, now: int) -> None:
        if self.running <= checkpoint < self.outlet.current:
            self.running, self.running_since = checkpoint + 1, now

    def alone(self, now: int) -> None:  # noqa: ARG002
        self.is_alone = True
        self._release(self.outlet.current)
        for flow in self.flows.values():
            flow.alone()
        self.flows.clear()
        self.outlet.openings = Openings()

    def on_time(self, now: int) -> None:
        deadline = self._hold_deadline()
        if deadline is not None and now >= deadline:
            self.outlet.told = self.outlet.current
            self.outlet.events.append("hold")
        for flow in self.flows.values():
            flow.on_time(now)
        if self.outlet.openings.differ(now):
            self.outlet.diverged(self.outlet.current, "ports")

    def _hold_deadline(self) -> int | None:
        """Of the frame that waits longest, while S could answer it and nobody was told yet."""
        outlet = self.outlet
        waiting = (held for held in outlet.held.values() if held.timed and held.epoch == outlet.current)
        oldest = next(waiting, None)
        if oldest is None or outlet.told == outlet.current or self.running != outlet.current:
            return None
        return max(oldest.since, self.running_since) + outlet.limits.hold_ns

    def full(self) -> bool:
        return self.outlet.full()

    def held_frames(self) -> int:
        return len(self.outlet.held)

    def outputs(self) -> Iterator[str | tuple[int, bytes]]:
        """Events, then released frames, since the last call."""
        outlet = self.outlet
        yield from outlet.events
        yield from outlet.released
        outlet.events, outlet.released = [], []
