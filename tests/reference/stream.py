"""The bytes of one connection, by position, through the epochs."""

from __future__ import annotations

P, S = "primary", "secondary"


class Trouble(Exception):  # noqa: N818
    """No agreement in this epoch any more: `stream`, `end` or `handshake`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Full(Exception):  # noqa: N818
    """One side has said more than is kept without an answer."""


class Stream:
    """What both machines have said, and how far they are equal.

    At a cut P's position is kept. S's words about the old epoch count up to there, and when S starts from the
    checkpoint both are equal up to there.
    """

    def __init__(self, epoch: int, limit: int, first: int | None = None) -> None:
        self.limit = limit
        self.epoch = self.secondary_epoch = epoch
        self.blocked = 0
        """No agreement up to and including this epoch."""
        self.base = first
        """The sequence number of position 0."""
        self.next = None if first is None else 0
        """P's position."""
        self.begin: int | None = None
        """P's position at the beginning of its epoch."""
        self.floor: int | None = None
        """P's first byte, if what came before is not known."""
        self.agreed: int | None = self.next
        self.said: dict[str, dict[int, int]] = {P: {}, S: {}}
        self.fin: dict[str, int | None] = {P: None, S: None}

    def position(self, seq: int) -> int:
        """The one nearest to where the stream is."""
        if self.base is None:
            self.base = seq
        here = (self.agreed or 0) if self.next is None else self.next
        distance = (seq - self.base - here) % 2**32
        return here + (distance if distance < 2**31 else distance - 2**32)

    def is_blocked(self, epoch: int) -> bool:
        return self.blocked >= epoch

    def agrees(self, seq: int, length: int) -> bool:
        """Both have produced everything up to the end of this."""
        return self.agreed is not None and self.position(seq) + length <= self.agreed

    def was_watched(self, seq: int) -> bool:
        """Bytes from here on were compared or are gone already."""
        return self.floor is None or self.position(seq) >= self.floor

    # Words

    def primary(self, seq: int, payload: bytes, *, fin: bool) -> None:
        start = self.position(seq)
        if self.next is None:
            self._place(start)
            self.floor = start
        end = start + len(payload) + fin
        self.next = end if self.next is None else max(self.next, end)
        if not self.is_blocked(self.epoch):
            self._say(P, start, payload, fin=fin)
        elif fin and self.fin[P] is None:
            self.fin[P] = start + len(payload)

    def secondary(self, seq: int, payload: bytes, *, fin: bool) -> None:
        if not payload and not fin:
            return
        start = self.position(seq)
        if self.secondary_epoch < self.epoch:  # nothing beyond the cut
            cut = start if self.begin is None else self.begin
            fin = fin and start + len(payload) < cut
            payload = payload[: max(0, cut - start)]
        if self.is_blocked(self.secondary_epoch) or (not payload and not fin):
            return
        if self.next is None and (self.agreed is None or start < self.agreed):
            self._place(start)
        self._say(S, start, payload, fin=fin)

    def _place(self, start: int) -> None:
        """The stream begins here as far as we know: P's first byte, or before it S's lowest."""
        self.agreed = start
        self.said = {P: {}, S: {at: byte for at, byte in self.said[S].items() if at >= start}}

    def _say(self, who: str, start: int, payload: bytes, *, fin: bool) -> None:
        end = start + len(payload)
        self._check_end(end)
        mine = self.said[who]
        for at, byte in enumerate(payload, start):
            if at >= self._agreed() and mine.setdefault(at, byte) != byte:
                raise Trouble("stream")  # a machine contradicts itself
        self._compare()
        if len(mine) > self.limit:
            raise Full
        if fin:
            self._end(who, end)
        if self.fin[P] == self.fin[S] == self.agreed:
            self.agreed = self._agreed() + 1  # a FIN takes a position

    def _agreed(self) -> int:
        assert self.agreed is not None
        return self.agreed

    def _compare(self) -> None:
        at = self._agreed()
        primary, secondary = self.said[P], self.said[S]
        while at in primary and at in secondary:
            if primary[at] != secondary[at]:
                raise Trouble("stream")
            del primary[at], secondary[at]
            at += 1
            self.agreed = at

    def _check_end(self, end: int) -> None:
        known = self.fin[P] if self.fin[P] is not None else self.fin[S]
        if known is not None and end > known:
            raise Trouble("end")

    def _end(self, who: str, end: int) -> None:
        known = self.fin[who] if self.fin[who] is not None else self.fin[S if who == P else P]
        self.fin[who] = end
        if (known is None and self._longest() > end) or (known is not None and known != end):
            raise Trouble("end")

    def _longest(self) -> int:
        """The furthest that either has said."""
        pending = self.said[P].keys() | self.said[S].keys()
        return max([self._agreed(), *(at + 1 for at in pending)])

    # Epochs

    def block(self) -> None:
        self.blocked = self.epoch
        self.said = {P: {}, S: {}}

    def cut(self, epoch: int) -> None:
        """P begins an epoch. What S said beyond is of a state that a checkpoint will overwrite."""
        self.epoch, self.begin = epoch, self.next
        if self.next is None:
            self.agreed = None
        self.said[S] = {}
        self._forget_end()

    def restart(self) -> None:
        """S starts from P's state at the cut."""
        self.secondary_epoch = self.epoch
        self.said[S] = {}
        if self.begin is None:
            if self.next is None:
                self.agreed = None
            return
        self.floor = None
        self.agreed = self.begin
        self.said[P] = {at: byte for at, byte in self.said[P].items() if at >= self.begin}
        self.fin[S] = self.fin[P]
        self._forget_end()

    def _forget_end(self) -> None:
        """S starts without its end, unless that was P's before the cut."""
        end, cut = self.fin[S], self.begin
        if end is not None and (cut is None or end >= cut):
            self.fin[S] = None
