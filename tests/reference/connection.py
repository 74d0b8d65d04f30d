"""One TCP connection: a dictionary from position to byte for each machine, and a queue of what waits.

Positions count from the first sequence number that was seen and do not wrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from offers import AHEAD, DUPLICATES, Offer, Offers, before, changed, pure_ack
from reading import ACK, FIN, Segment
from stream import Full, P, S, Stream, Trouble
from waiting import Kind, Owed, Urgent, Waiting, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparison import Held, Outlet


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
        self.twin: Segment | None = None  # S's SYN that agreed
        self.offers = Offers()
        self.sent: int | None = None  # the end of what the client got
        self.owed: Owed | None = None
        self.owes_since: int | None = None
        self.debt_told: Offer | None = None
        self.urgent = Urgent()
        self.reset = {P: False, S: False}

    # What the machines say

    def primary(self, segment: Segment, hold: Callable[[], Held], now: int) -> None:
        outlet = self.outlet
        self._turn()
        try:
            self._primary(segment)
        except (Trouble, Full) as trouble:
            self._tell(trouble, outlet.current)
            self.stream.block()
        offer = self.offers.of(segment)
        self.offers.say(P, offer)
        held = hold()
        waiting = Waiting(held, segment, offer)
        while self.queue and self._replaces(waiting, self.queue[-1]):
            outlet.let_go(self.queue.pop().held)
        self.queue.append(waiting)
        self._flush(now)
        held.timed = waiting.kind is not Kind.ACK
        if waiting in self.queue and waiting.kind is Kind.SYN and offer is None:
            outlet.openings.note(P, segment.key, now)

    def _primary(self, segment: Segment) -> None:
        match kind_of(segment):
            case Kind.RESET:
                self.reset[P] = True
            case Kind.DATA if segment.length > 0:
                self.stream.primary(segment.seq, segment.payload, fin=segment.has(FIN))
            case Kind.SYN if self.syn is None or self.syn.seq != segment.seq:
                self._new_connection(segment)
            case Kind.SYN:
                self.offers.negotiate(segment)

    def _new_connection(self, syn: Segment) -> None:
        """What waits of one that had the ports waits for a commit; acknowledgements are needless."""
        for waiting in self.queue:
            waiting.stale = True
            if waiting.kind is Kind.ACK:
                self.outlet.let_go(waiting.held)
        self.forget_released()
        early, self.early = self.early, None
        self._begin(syn)
        self.offers.negotiate(syn)
        first = (syn.seq + 1) % 2**32
        self.stream = Stream(self.outlet.current, self.outlet.limits.pending_bytes, first)
        self.outlet.events.append(f"isn {syn.seq}")
        self.stream.primary(first, syn.payload, fin=syn.has(FIN))
        if early:
            self._meet(early)

    def secondary(self, segment: Segment, epoch: int, now: int) -> None:
        self._turn(label=epoch)
        if epoch < self.stream.secondary_epoch:
            return
        try:
            self._secondary(segment, epoch, now)
        except (Trouble, Full) as trouble:
            if self.stream.secondary_epoch == self.stream.epoch:
                self.stream.block()
            else:  # the checkpoint under way helps, and S is next heard of in P's epoch
                self._restart()
            self._tell(trouble, epoch)
        self._flush(now)

    def _secondary(self, segment: Segment, epoch: int, now: int) -> None:
        match kind_of(segment):
            case Kind.RESET:
                self.reset[S] = True
            case Kind.SYN:
                self._secondary_syn(segment, epoch, now)
            case _ if self.early is None and (self.syn is None or self.syn_agreed):
                # Else one of the machines is in another connection already, with other numbers.
                alone = kind_of(segment) is Kind.ACK
                self.offers.say(S, self.offers.of(segment), alone=alone)
                self.urgent.say(segment.urgent_end)
                self.stream.secondary(segment.seq, segment.payload, fin=segment.has(FIN))

    def _secondary_syn(self, segment: Segment, epoch: int, now: int) -> None:
        if self.syn and not self.syn_agreed:
            self._meet(segment)
        elif self._is_repeated(segment):
            self.offers.say(S, self.offers.of(segment))
        elif epoch == self.stream.epoch:
            self.early = segment
            if not segment.has(ACK):
                self.outlet.openings.note(S, segment.key, now)

    def _is_repeated(self, segment: Segment) -> bool:
        if self.syn is None:
            return False
        if segment.seq == self.syn.seq or (self.twin and segment.seq == self.twin.seq):
            return True  # with simultaneous open a SYN-ACK follows the SYN
        if segment.has(ACK):
            return segment.ack == self.syn.ack
        return not (self.reset[P] or self.stream.fin[P] is not None)

    def _meet(self, other: Segment) -> None:
        """The SYNs of both agree in everything but the sequence number."""
        assert self.syn
        self.outlet.openings.met(self.syn.key)
        same_ack = not self.syn.has(ACK) or self.syn.ack == other.ack
        if self.syn.flags != other.flags or not same_ack or self.syn.negotiates != other.negotiates:
            raise Trouble("handshake")
        self.syn_agreed, self.twin = True, other
        self.offers.say(S, self.offers.of(other))
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
            self.offers.at_cut, self.syn_before_cut = self.offers.said[P], self.syn is not None
            self.early = None
        arrived = blocked or self.outlet.may_agree(current) or label == current
        if arrived and self.stream.secondary_epoch < current:
            self._restart()

    def _restart(self) -> None:
        """S starts from P's state at the cut."""
        self.stream.restart()
        self.offers.restart()
        self.urgent.secondary = []
        self.syn_agreed |= self.syn_before_cut
        self.reset[S] = False

    def committed(self, now: int) -> None:
        self._turn()
        self._flush(now)

    def forget_released(self) -> None:
        """Frames that the comparison took from the queue for a commit."""
        for waiting in self.queue:
            if waiting.held.serial not in self.outlet.held:
                self._note_released(waiting)
        self.queue = [waiting for waiting in self.queue if waiting.held.serial in self.outlet.held]

    def on_time(self, now: int) -> None:
        pass

    # What may go

    def _flush(self, now: int) -> None:
        """A segment overtakes no earlier one of its connection that says more than an acknowledgement."""
        while (waiting := self._ready()) is not None:
            want = waiting.offer
            self._clamp(waiting)
            self._note_released(waiting)
            if want is not None and want != waiting.offer:
                self.owed = Owed(waiting, want)
            self.outlet.release(waiting.held)
        self._tell_unsaid()
        self._count_debt(now)

    def _count_debt(self, now: int) -> None:
        """Since when the client waits for something and has heard nothing new."""
        want = self.owed.want if self.owed else None
        if self.queue and self.queue[0].kind is Kind.ACK:
            want = self.queue[0].offer
        if want is None or not self.offers.owes(want):
            self.owes_since = None
        elif self.owes_since is None or self.debt_told != self.offers.told:
            self.owes_since, self.debt_told = now, self.offers.told

    def _ready(self) -> Waiting | None:
        acks = 0
        while self.queue[acks : acks + 1] and self.queue[acks].kind is Kind.ACK and acks < 2 * DUPLICATES:
            acks += 1
        for index in (0, acks):
            if index < len(self.queue) and self._may_go(self.queue[index]):
                for needless in self.queue[:index]:
                    self.outlet.let_go(needless.held)
                self.queue = self.queue[index:]
                return self.queue.pop(0)
        return None

    def _clamp(self, waiting: Waiting) -> None:
        """Acknowledgement and window are lowered to what both have said."""
        segment, offer = waiting.segment, waiting.offer
        allowed = None if offer is None else self.offers.allowed(offer)
        if waiting.kind is Kind.SYN:
            window = min(segment.window, segment.window if self.twin is None else self.twin.window)
            waiting.held.frame = changed(segment, Offer(segment.ack, window))
        elif allowed is not None:
            waiting.held.frame = changed(segment, allowed)
        if allowed is not None and waiting.kind is not Kind.RESET:
            waiting.offer = allowed

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
                return waiting.offer is not None and self.offers.may_go(waiting.offer)
            case Kind.SYN:
                acked = waiting.offer is None or self.offers.covers(waiting.offer.ack)
                return self.syn_agreed and self.stream.agrees(segment.seq, segment.length) and acked
        return (
            segment.length > 0
            and self.stream.agrees(segment.seq, segment.length)
            and self.stream.was_watched(segment.seq)
            and (waiting.offer is None or self.offers.limit is not None)
            and self.urgent.agrees(waiting)
        )

    def _note_released(self, waiting: Waiting) -> None:
        if waiting.stale or waiting.kind is Kind.RESET:
            return
        offers, offer = self.offers, waiting.offer
        if waiting.kind is Kind.ACK and offer is not None and offer == offers.told:
            offers.repeated = max(offers.repeated - 1, -AHEAD)
        self.urgent.release(waiting)
        if self.sent is None or not before(waiting.end, self.sent):  # else the client may not read it
            self.sent, self.owed = waiting.end, None
            if offer is not None:
                offers.tell(offer)

    def _tell_unsaid(self) -> None:
        """In a frame of its own: what S has said by now of what waits or is owed."""
        if self.queue and self.queue[0].kind is Kind.ACK:
            waiting, counts = self.queue[0], self._counts(self.queue[0])
            want = waiting.offer
        elif self.owed is not None:
            waiting, want = self.owed.waiting, self.owed.want
            epoch = self.stream.secondary_epoch
            counts = waiting.held.epoch <= epoch and self.outlet.may_agree(epoch)
        else:
            return
        allowed = self.offers.worth_telling(want) if counts and want is not None else None
        if allowed is None:
            return
        made = pure_ack(waiting.segment, waiting.end if self.sent is None else self.sent, allowed)
        if made is None:
            return
        self.offers.tell(allowed)
        if allowed == want:
            self.owed = None
        self.outlet.released.append((waiting.held.nic, made))

    def alone(self) -> None:
        """Nobody is there to wait for."""
        if self.owed is not None and self.sent is not None:
            made = pure_ack(self.owed.waiting.segment, self.sent, self.owed.want)
            if made is not None:
                self.outlet.released.append((self.owed.waiting.held.nic, made))

    def _replaces(self, new: Waiting, old: Waiting) -> bool:
        """An acknowledgement makes an older one needless, but for duplicates, which tell of losses."""
        if new.kind is not Kind.ACK or old.kind is not Kind.ACK or new.held.epoch != old.held.epoch:
            return False
        one, other = old.segment, new.segment
        if before(other.ack, one.ack) or before(other.seq, one.seq):
            return False
        if one.ack == other.ack and (other.selective or one.window == other.window):
            last = self.queue[-DUPLICATES:]
            same = [w for w in last if w.kind is Kind.ACK and w.segment.ack == other.ack]
            return len(same) == DUPLICATES
        return True
