"""The reference model: the release rule in the fewest words, as slow as it likes.

*No byte leaves that the survivor could not explain.* A frame of the primary's machine (P) goes when the
secondary's machine (S) has produced the same in the same epoch, and the secondary holds the state that this
epoch began with; or when the secondary holds a checkpoint that was cut after the frame. Bytes are compared by
their position in the stream (`connection.py`), all else message by message (`lane.py`); fragments are put
together before (`assembly.py`).

Not here: flows are never forgotten, the hold limit is always its ceiling (docs/hold-limit.md: it is until a
hundred frames have agreed), and sequence numbers of one connection must stay within 2^31 of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from assembly import Assembly, Part, changed
from connection import Connection
from lane import Lane
from openings import Openings
from reading import Chore, Fragment, Key, Message, Segment, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Flow = Connection | Lane | Assembly

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
    parts: list[Part] = attrs.Factory(list)
    """The fragments that it was put together from, and which go in its place."""
    total: int = 0
    """Bytes of the datagram that they make."""

    @property
    def frames(self) -> list[bytes]:
        """What goes."""
        if not self.parts:
            return [self.frame]
        return [changed(part, self.frame, self.total) for part in self.parts]


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

    def join(self, frame: bytes, parts: list[Part], now: int) -> Held:
        """Fragments that wait become a datagram, which has come with the last of them."""
        for part in parts:
            assert part.held
            del self.held[part.held.serial]
        self.serial += 1
        total = max(part.end for part in parts)
        nic = parts[0].held.nic if parts[0].held else 0
        held = Held(nic, frame, self.current, self.serial, now, parts=parts, total=total)
        self.held[held.serial] = held
        return held

    def let_go(self, held: Held) -> None:
        del self.held[held.serial]
        self.held_bytes -= sum(len(frame) for frame in held.frames)

    def release(self, held: Held) -> None:
        self.let_go(held)
        self.released += [(held.nic, frame) for frame in held.frames]

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
        self.flows: dict[Key, Flow] = {}
        self.unknown: list[Held] = []  # frames of flows for which there is no room
        self.running, self.running_since = 1, 0  # S's epoch
        self.is_alone = False

    def primary(self, nic: int, frame: bytes, now: int) -> None:
        if self.is_alone or isinstance(read(frame, nic), Chore):
            self.outlet.released.append((nic, frame))
            return
        self._take(nic, frame, now, lambda: self.outlet.hold(nic, frame, now))

    def _take(self, nic: int, frame: bytes, now: int, hold: Callable[[], Held]) -> None:
        """A frame of P, or a datagram whose fragments are held."""
        item = read(frame, nic)
        if isinstance(item, Chore):
            self.outlet.release(hold())
            return
        flow = self._flow(item, begins=not self.unknown)
        if flow is None:
            self.unknown.append(hold())
            self.outlet.queue_limit()
        elif isinstance(item, Fragment):
            self._take_fragment(flow, item, hold(), now)
        else:
            flow.primary(item, hold, now)  # type: ignore[arg-type, union-attr]

    def _take_fragment(self, assembly: Flow, fragment: Fragment, held: Held, now: int) -> None:
        held.timed = True
        if held.parts:
            return  # fragments within fragments wait for a commit
        whole = assembly.primary(fragment, held, now)  # type: ignore[arg-type, call-arg]
        if whole is not None:
            self._take(held.nic, whole.frame, now, lambda: whole)

    def secondary(self, nic: int, epoch: int, frame: bytes, now: int) -> None:
        outlet = self.outlet
        if self.is_alone or not outlet.committed < epoch <= outlet.current:
            return
        item = read(frame, nic)
        if isinstance(item, Fragment):
            assembly = self._flow(item, begins=self._begins(epoch))
            if assembly is None:
                return
            whole = assembly.secondary(item, epoch, now)  # type: ignore[arg-type, func-returns-value]
            if whole is None:
                return
            item = read(whole, nic)
        if isinstance(item, Chore | Fragment):
            return
        flow = self._flow(item, begins=self._begins(epoch))
        if flow is not None:
            flow.secondary(item, epoch, now)  # type: ignore[arg-type]

    def _begins(self, epoch: int) -> bool:
        return epoch == self.outlet.current and not self.unknown

    def _flow(self, item: Segment | Message | Fragment, *, begins: bool) -> Flow | None:
        if item.key not in self.flows and begins and len(self.flows) < self.outlet.limits.flows:
            make: type[Connection | Lane | Assembly] = Lane
            if isinstance(item, Segment):
                make = Connection
            elif isinstance(item, Fragment):
                make = Assembly
            self.flows[item.key] = make(self.outlet)
        return self.flows.get(item.key)

    def cut(self, checkpoint: int, now: int) -> None:  # noqa: ARG002
        self.is_alone = False
        self.outlet.current = max(self.outlet.current, checkpoint + 1)
        self.outlet.openings = Openings()

    def commit(self, checkpoint: int, now: int) -> None:
        outlet = self.outlet
        if checkpoint < outlet.current:
            outlet.committed = max(outlet.committed, checkpoint)
        self._release(outlet.committed)
        for flow in self.flows.values():
            flow.committed(now)

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
        if any(self._is_overdue(flow, now) for flow in self.flows.values()):
            self.outlet.diverged(self.outlet.current, "acknowledgement")
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

    def _is_overdue(self, flow: Flow, now: int) -> bool:
        """A client has waited for too long for what only P has said, since S could say it."""
        if self.running != self.outlet.current or not isinstance(flow, Connection) or flow.owes_since is None:
            return False
        return max(flow.owes_since, self.running_since) + self.outlet.limits.hold_ns <= now

    def full(self) -> bool:
        return self.outlet.full()

    def held_frames(self) -> int:
        return sum(len(held.frames) for held in self.outlet.held.values())

    def outputs(self) -> Iterator[str | tuple[int, bytes]]:
        """Events, then released frames, since the last call."""
        outlet = self.outlet
        yield from outlet.events
        yield from outlet.released
        outlet.events, outlet.released = [], []
