"""Whether compressing pages pays on this link: LZ4 costs about 5 us a page, whatever the link carries.

It pays where a byte that is not sent saves more time on the link than it cost to get rid of. Both are
measured: what the link takes for a byte from the large transfers, what a saved byte costs from all pages that
are compressed, of which there are always some as a sample. Zero, equal and changed pages are no question:
finding them costs less than encrypting a page (docs/decisions/0016).
"""

from __future__ import annotations

from typing import Literal

from attrs import define, field, frozen

Encoding = Literal["auto", "lz4", "delta", "none"]
Amount = Literal["never", "sample", "always"]

_PAGE = 4096
_LEAST_PER_NS = 1e-9
_LEAST_BYTES = 1 << 20
"""A transfer of less says more about the round trip than about the link."""
_HIDING_NS = 20_000
"""LZ4 takes 2 to 13 us for a page, most where it saves little: while a page is on the link for longer than
this (1.6 Gbit/s), the next ones are compressed in time.
"""
_SHOWING_NS = 10_000
"""With less it is stopped. What LZ4 takes does not count as the link's time though the link was busy: while
pages are compressed, it seems faster than it is.
"""
_LEAST_LZ4_NS = 50_000
"""Some ten pages."""
_WEIGHT = 0.25
"""Of the newest transfer in the average of what the link takes."""
_LZ4_WEIGHT = 0.5
"""Of the newest transfer in the average of what LZ4 saves: each stretch of memory has its own."""
_MARGIN = 1.25
"""By how much it has to be better to change what is done: what is near the border does not flap."""


@frozen
class Tally:
    """What one transfer came to: pages by the way they were sent (equal: not at all; twin: as another one's
    number), bytes, nanoseconds.

    The fields are those of the event `sent` of `colo._core.Relay`.
    """

    zero: int = 0
    equal: int = 0
    delta: int = 0
    twin: int = 0
    lz4: int = 0
    raw: int = 0
    device_bytes: int = 0
    sent_bytes: int = 0
    sent_device_bytes: int = 0
    encode_ns: int = 0
    lz4_ns: int = 0
    lz4_saved: int = 0

    @property
    def pages(self) -> int:
        """All that were looked at."""
        return self.zero + self.equal + self.delta + self.twin + self.lz4 + self.raw


@define
class Compression:
    """One pairing's. `choose` before each transfer, `sent` after it."""

    encoding: Encoding
    link_ns: float | None = None
    """Nanoseconds that a byte takes on the link."""
    _saved_per_ns: float | None = None
    """Bytes. Not its inverse: pages of noise save nothing at all. Not sums that forget: noise that was all
    compressed would outweigh many transfers of which there are only samples.
    """
    _pays: bool = field(default=False)
    _is_hidden: bool = field(default=False)
    """LZ4 costs no time as long as the link is busy."""

    @property
    def needs_shadow(self) -> bool:
        """Whether what was sent has to be kept."""
        return self.encoding != "none"

    def choose(self, *, stream: bool = False) -> Amount:
        """Which pages of the next transfer to compress, of those without a short delta. `stream`: another one
        is on the link meanwhile.
        """
        match self.encoding:
            case "auto":
                return "always" if self._pays or (stream and self._is_hidden) else "sample"
            case "lz4":
                return "always"
            case "delta" | "none":
                return "never"

    def sent(self, tally: Tally, took_ns: int) -> None:
        """A transfer is through; `took_ns` is from its beginning, or from the end of the one before."""
        # Mostly deltas, or twins, tell what the secondary takes for a page, few bytes or many.
        if tally.sent_bytes >= _LEAST_BYTES and tally.delta + tally.twin <= tally.raw + tally.lz4:
            on_the_link = max(took_ns - tally.encode_ns, 0)
            self.link_ns = _average(self.link_ns, on_the_link / tally.sent_bytes, _WEIGHT)
        if tally.lz4_ns >= _LEAST_LZ4_NS:
            self._saved_per_ns = _average(self._saved_per_ns, tally.lz4_saved / tally.lz4_ns, _LZ4_WEIGHT)
        self._decide()

    @property
    def saving_ns(self) -> float | None:
        """Nanoseconds that it takes LZ4 to save a byte."""
        return None if self._saved_per_ns is None else 1 / max(self._saved_per_ns, _LEAST_PER_NS)

    def _decide(self) -> None:
        if self.link_ns is not None:
            self._is_hidden = self.link_ns * _PAGE > (_SHOWING_NS if self._is_hidden else _HIDING_NS)
        saving_ns = self.saving_ns
        if self.link_ns is None or saving_ns is None:
            return
        if saving_ns * _MARGIN < self.link_ns:
            self._pays = True
        elif saving_ns > self.link_ns * _MARGIN:
            self._pays = False


def _average(before: float | None, new: float, weight: float) -> float:
    return new if before is None else before + weight * (new - before)
