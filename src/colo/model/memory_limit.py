"""A checkpoint before more is written than one can hold, and before it is more than one should carry.

A checkpoint holds `max_staging_mib`, and has to cross the link before its deadline. So what was written since
the last cut is counted while the VM runs, which resets nothing. At half of what fits a checkpoint is asked
for. While one is in flight, the next has to wait for it; a VM that goes on writing meanwhile is stopped for a
growing share of the time, as in the pre-copy (docs/decisions/0025).

A look visits all of RAM. It comes before the VM could have written the other half of what is left, at the
rate that it was seen to write, or at the highest that is thought of, if that costs next to nothing.

`enough` is far less than what fits: nothing goes wrong beyond it, but the copies do not agree for longer.
So it ends the period early (docs/decisions/0036), and looks for its sake cost next to nothing, whatever the
rate.
"""

from __future__ import annotations

from attrs import define, field, frozen

from colo.model.checkpoint.events import Reason, Trigger

FASTEST_PER_S = 1 << 18
"""Pages, 1 GiB, that a quiet VM may begin to write from one moment to the next."""
SLICE_NS = 50_000_000
"""A VM that is slowed down stands still for a part of such a slice at most, and runs for the rest."""
_STEPS = 8
"""In a slice it writes one part in so many of what fits, at most."""
MOST_STOPPED = 0.95
"""Of a slice: the VM stays alive to its clients."""
HALT_NS = 1_000_000_000
"""With hardly any room left it stands still until the checkpoint in flight is through, in such pieces."""
_SOON = 2
"""A VM is expected to write so many times as fast as it was seen to."""
_SPARE, _NEEDED = 100, 10
"""Looks take one part in so many of the time: without a reason, and at the rate that was seen."""
_LEAST_NS = 5_000_000
_LEAST_RUN_NS = 2_500_000
_LEAST_PAGES = 256
"""So many a checkpoint may hold on any link."""
_NS_PER_S = 1_000_000_000


@frozen
class Verdict:
    """What follows from a look. `ask`: take a checkpoint; `stop_ns`: stop the VM for so long, or until the
    checkpoint in flight is through.
    """

    ask: Trigger | None = None
    stop_ns: int = 0


@define
class MemoryLimit:
    """One pairing's; times are nanoseconds.

    `staging_pages`: what a checkpoint can hold at all; `transfer_ns`: how long it may take the link;
    `enough`: pages that end the period, 0 for none.
    """

    staging_pages: int
    transfer_ns: int
    enough: int
    next_look: int
    """When `looked` is wanted. Moved by every other call."""
    _page_ns: float | None = None
    _rate: float = 0.0
    _cut_at: int | None = None
    _seen: tuple[int, int] = field(default=(0, 0))
    _took: int = 0

    @property
    def most(self) -> int:
        """Pages that one checkpoint may hold."""
        if self._page_ns is None:
            return self.staging_pages
        return max(min(self.staging_pages, int(self.transfer_ns / self._page_ns)), _LEAST_PAGES)

    def link(self, page_ns: float) -> None:
        """So long takes the link for a page that is sent as it is: the next one may be."""
        self._page_ns = max(page_ns, 1.0)

    def cut(self, pages: int, now: int) -> None:
        """A checkpoint has taken so many pages; all that is written from now on is the next one's."""
        if self._cut_at is not None:
            self._rate = _per_s(pages, now - self._cut_at)
        self._cut_at, self._seen = now, (0, now)
        self.next_look = now + self._pause_before_look(0)

    def looked(self, pages: int, took_ns: int, now: int, *, in_flight: bool) -> Verdict:
        """So many pages are written since the cut. `in_flight`: a checkpoint that does not have them is under
        way.
        """
        before, at = self._seen
        self._rate = max(self._rate, _per_s(pages - before, now - at))
        self._seen, self._took = (pages, now), took_ns
        if pages < self.most // 2:
            self.next_look = now + self._pause_before_look(pages)
            return Verdict(None if in_flight else self._period_over(pages))
        stop_ns, run_ns = self._slice(pages) if in_flight else (0, SLICE_NS)
        self.next_look = now + stop_ns + run_ns
        why = f"{pages} pages are written, a checkpoint may hold {self.most}"
        return Verdict(Trigger(Reason.MEMORY, why), stop_ns)

    def _period_over(self, pages: int) -> Trigger | None:
        if 0 < self.enough <= pages:
            return Trigger(Reason.PERIOD, f"{pages} pages are written")
        return None

    def _slice(self, pages: int) -> tuple[int, int]:
        """Stopped for none of it at half of what fits, for nearly all at three quarters, for all at 7/8."""
        if pages >= self.most * 7 // 8:
            return HALT_NS, 0
        stopped = min((pages / self.most - 0.5) * 4, 1.0) * MOST_STOPPED
        run_ns = SLICE_NS * (1 - stopped)
        if self._rate:
            run_ns = min(run_ns, max(self._until(self.most // _STEPS), _LEAST_RUN_NS))
        return int(run_ns * stopped / (1 - stopped)), int(run_ns)

    def _pause_before_look(self, pages: int) -> int:
        left = self.most // 2 - pages
        fastest = max(left * _NS_PER_S // FASTEST_PER_S, self._took * _SPARE)
        seen = max(self._until(left), self._took * _NEEDED) if self._rate else fastest
        enough = (
            max(self._until_enough(pages), self._took * _SPARE) if self.enough and self._rate else fastest
        )
        return max(min(fastest, seen, enough), _LEAST_NS)

    def _until_enough(self, pages: int) -> int:
        """In a slice, where it is enough, and a checkpoint is in flight."""
        return self._until(self.enough - pages) if pages < self.enough else SLICE_NS

    def _until(self, pages: int) -> int:
        """Until so many are written."""
        return int(pages * _NS_PER_S / (_SOON * self._rate))


def _per_s(pages: int, ns: int) -> float:
    return max(pages, 0) * _NS_PER_S / max(ns, 1)
