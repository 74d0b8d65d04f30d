"""One TCP connection: a dictionary from position to byte for each machine, and a queue of what waits.

Positions count from the first sequence number that was seen and do not wrap.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import TYPE_CHECKING

import attrs
from frames import checksum
from reading import ACK, FIN, RST, SYN, Segment
from stream import Full, P, S, Stream, Trouble

if TYPE_CHECKING:
    from comparison import Held, Outlet

DUPLICATES = 16
"""Duplicate acknowledgements kept in a row."""


class Kind(Enum):
    SYN = auto()
    DATA = auto()
    ACK = auto()
    RESET = auto()


def kind_of(segment: Segment) -> Kind:
    if segment.has(RST):
        return Kind.RESET
    if segment.has(SYN):
        return Kind.SYN
    return Kind.ACK if segment.length == 0 and segment.has(ACK) else Kind.DATA


def before(one: int, other: int) -> bool:
    """Of sequence numbers, modulo 2^32."""
    return (one - other) % 2**32 >= 2**31


def later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return other if before(one, other) else one


def with_ack(segment: Segment, ack: int) -> bytes:
    """The frame with another acknowledgement; what was wrong with its checksum stays wrong (RFC 1624)."""
    at, frame = segment.offset, bytearray(segment.frame)
    old = bytes(frame[at + 8 : at + 12])
    struct.pack_into("!I", frame, at + 8, ack)
    inverted = bytes(byte ^ 0xFF for byte in frame[at + 16 : at + 18] + old)
    mended = checksum(inverted + bytes(frame[at + 8 : at + 12]))
    struct.pack_into("!H", frame, at + 16, mended)
    return bytes(frame)


@attrs.define(eq=False)
class Waiting:
    held: Held
    segment: Segment
    stale: bool = False
    """Its connection is over, another one has the ports."""

    @property
    def kind(self) -> Kind:
        return kind_of(self.segment)

    @property
    def ack(self) -> int | None:
        return self.segment.ack if self.segment.has(ACK) else None


class Connection:
    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.stream = Stream(outlet.current, outlet.limits.pending_bytes)
        self.queue: list[Waiting] = []
        self.early: Segment | None = None  # a SYN of S for a connection that P has not begun
        self._begin(None)

    def _begin(self, syn: Segment | None) -> None:
        """Nothing is known of this connection but P's SYN."""
        self.syn = syn
        self.syn_agreed = self.syn_before_cut = False
        self.acks: dict[str, int | None] = {P: None, S: None}
        self.ack_at_cut: int | None = None
        self.ack_released: int | None = None
        self.reset = {P: False, S: False}

    # What the machines say

    def primary(self, segment: Segment, nic: int, frame: bytes, now: int) -> None:
        outlet = self.outlet
        self._turn()
        try:
            self._primary(segment)
        except (Trouble, Full) as trouble:
            self._tell(trouble, outlet.current)
            self.stream.block()
        if segment.has(ACK):
            self.acks[P] = later(self.acks[P], segment.ack)
        held = outlet.hold(nic, frame, now)
        waiting = Waiting(held, segment)
        while self.queue and self._replaces(waiting, self.queue[-1]):
            outlet.let_go(self.queue.pop().held)
        self.queue.append(waiting)
        self._flush()
        held.timed = waiting.kind is not Kind.ACK

    def _primary(self, segment: Segment) -> None:
        match kind_of(segment):
            case Kind.RESET:
                self.reset[P] = True
            case Kind.DATA:
                self.stream.primary(segment.seq, segment.payload, fin=segment.has(FIN))
            case Kind.SYN if self.syn is None or self.syn.seq != segment.seq:
                self._new_connection(segment)

    def _new_connection(self, syn: Segment) -> None:
        """What waits of one that had the ports waits for a commit; acknowledgements are needless."""
        for waiting in self.queue:
            waiting.stale = True
            if waiting.kind is Kind.ACK:
                self.outlet.let_go(waiting.held)
        self.forget_released()
        early, self.early = self.early, None
        self._begin(syn)
        first = (syn.seq + 1) % 2**32
        self.stream = Stream(self.outlet.current, self.outlet.limits.pending_bytes, first)
        self.outlet.events.append(f"isn {syn.seq}")
        self.stream.primary(first, syn.payload, fin=syn.has(FIN))
        if early:
            self._meet(early)

    def secondary(self, segment: Segment, epoch: int, now: int) -> None:  # noqa: ARG002
        self._turn(label=epoch)
        if epoch < self.stream.secondary_epoch:
            return
        try:
            self._secondary(segment, epoch)
        except (Trouble, Full) as trouble:
            if self.stream.secondary_epoch == self.stream.epoch:
                self.stream.block()
            else:  # the checkpoint under way helps, and S is next heard of in P's epoch
                self._restart()
            self._tell(trouble, epoch)
        self._flush()

    def _secondary(self, segment: Segment, epoch: int) -> None:
        match kind_of(segment):
            case Kind.RESET:
                self.reset[S] = True
            case Kind.SYN:
                self._secondary_syn(segment, epoch)
            case _ if self.early is None:  # else its numbers are those of a connection that P has not begun
                if segment.has(ACK):
                    self.acks[S] = later(self.acks[S], segment.ack)
                self.stream.secondary(segment.seq, segment.payload, fin=segment.has(FIN))

    def _secondary_syn(self, segment: Segment, epoch: int) -> None:
        if self.syn and not self.syn_agreed:
            self._meet(segment)
        elif epoch == self.stream.epoch and not self._is_repeated(segment):
            self.early = segment

    def _is_repeated(self, segment: Segment) -> bool:
        if self.syn is None:
            return False
        if segment.has(ACK):
            return segment.ack == self.syn.ack
        return not (self.reset[P] or self.stream.fin[P] is not None)

    def _meet(self, other: Segment) -> None:
        """The SYNs of both agree in everything but the sequence number."""
        assert self.syn
        same_ack = not self.syn.has(ACK) or self.syn.ack == other.ack
        if self.syn.flags != other.flags or not same_ack or self.syn.negotiates != other.negotiates:
            raise Trouble("handshake")
        self.syn_agreed = True
        if other.has(ACK):
            self.acks[S] = later(self.acks[S], other.ack)
        self.stream.secondary((self.syn.seq + 1) % 2**32, other.payload, fin=other.has(FIN))

    def _tell(self, trouble: Trouble | Full, epoch: int) -> None:
        if isinstance(trouble, Trouble):
            self.outlet.diverged(epoch, trouble.kind)
        elif epoch == self.outlet.current:
            self.outlet.queue_limit()

    # Epochs

    def _turn(self, label: int | None = None) -> None:
        """P is in another epoch; S is too when its word about earlier ones does not count any more."""
        current = self.outlet.current
        blocked = False
        if self.stream.epoch < current:
            blocked = self.stream.is_blocked(self.stream.secondary_epoch)
            self.stream.cut(current)
            self.ack_at_cut, self.syn_before_cut = self.acks[P], self.syn is not None
            self.early = None
        arrived = blocked or self.outlet.may_agree(current) or label == current
        if arrived and self.stream.secondary_epoch < current:
            self._restart()

    def _restart(self) -> None:
        """S starts from P's state at the cut."""
        self.stream.restart()
        self.acks[S] = self.ack_at_cut
        self.syn_agreed |= self.syn_before_cut
        self.reset[S] = False

    def committed(self) -> None:
        self._turn()
        self._flush()

    def forget_released(self) -> None:
        """Frames that the comparison took from the queue for a commit."""
        for waiting in self.queue:
            if waiting.held.serial not in self.outlet.held:
                self._note_released(waiting)
        self.queue = [waiting for waiting in self.queue if waiting.held.serial in self.outlet.held]

    def on_time(self, now: int) -> None:
        pass

    # What may go

    def _flush(self) -> None:
        """A segment does not overtake an earlier one of its connection."""
        while self.queue and self._may_go(self.queue[0]):
            waiting = self.queue.pop(0)
            told = self._told_ack()
            if waiting.kind is Kind.DATA and waiting.ack is not None and not self._covers(waiting.ack):
                assert told is not None
                waiting.held.frame = with_ack(waiting.segment, told)
                waiting.segment = attrs.evolve(waiting.segment, ack=told)
            self._note_released(waiting)
            self.outlet.release(waiting.held)
        if self.queue and self.queue[0].kind is Kind.ACK and self._counts(self.queue[0]):
            self._tell_progress(self.queue[0])

    def _counts(self, waiting: Waiting) -> bool:
        """S's word counts for this segment."""
        epoch = waiting.held.epoch
        return not waiting.stale and epoch == self.stream.secondary_epoch and self.outlet.may_agree(epoch)

    def _may_go(self, waiting: Waiting) -> bool:
        if not self._counts(waiting):
            return False
        segment = waiting.segment
        match waiting.kind:
            case Kind.RESET:
                return self.reset[S]
            case Kind.ACK:
                return self._covers(segment.ack)
            case Kind.SYN:
                return self.syn_agreed and self.stream.agrees(segment.seq, segment.length)
        acknowledges_what_is_known = waiting.ack is None or self._told_ack() is not None
        return (
            segment.length > 0
            and self.stream.agrees(segment.seq, segment.length)
            and self.stream.was_watched(segment.seq)
            and acknowledges_what_is_known
        )

    def _told_ack(self) -> int | None:
        """The most that the client may be told: what S has acknowledged, or what it was told already."""
        return later(self.acks[S], self.ack_released)

    def _covers(self, ack: int) -> bool:
        limit = self._told_ack()
        return limit is not None and not before(limit, ack)

    def _note_released(self, waiting: Waiting) -> None:
        if waiting.ack is not None and not waiting.stale and waiting.kind is not Kind.RESET:
            self.ack_released = later(self.ack_released, waiting.ack)

    def _tell_progress(self, waiting: Waiting) -> None:
        """While an acknowledgement waits, a copy tells how far S is."""
        limit = self._told_ack()
        if limit is None or self.ack_released is None or not before(self.ack_released, limit):
            return
        self.ack_released = limit
        self.outlet.released.append((waiting.held.nic, with_ack(waiting.segment, limit)))

    def _replaces(self, new: Waiting, old: Waiting) -> bool:
        """An acknowledgement makes an older one needless, but for duplicates, which tell of losses."""
        if new.kind is not Kind.ACK or old.kind is not Kind.ACK or new.held.epoch != old.held.epoch:
            return False
        one, other = old.segment, new.segment
        if one.ack == other.ack and (other.selective or one.window == other.window):
            last = self.queue[-DUPLICATES:]
            return len(last) == DUPLICATES and all(w.kind is Kind.ACK and w.ack == other.ack for w in last)
        return not before(other.ack, one.ack)
