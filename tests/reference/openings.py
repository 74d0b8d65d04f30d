"""Connections that the guest opens itself: each copy picks a port, and nothing else tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from lane import REORDER_NS
from stream import P, S

if TYPE_CHECKING:
    from reading import Key

KEPT = 16
"""Openings without a twin that are kept of either machine."""


@attrs.define
class Openings:
    """SYNs that only one machine has sent in this epoch, and when."""

    alone: dict[str, dict[Key, int]] = attrs.Factory(lambda: {P: {}, S: {}})

    def note(self, who: str, key: Key, now: int) -> None:
        mine = self.alone[who]
        if key not in mine and len(mine) >= KEPT:
            del mine[next(iter(mine))]
        mine.setdefault(key, now)

    def met(self, key: Key) -> None:
        for mine in self.alone.values():
            mine.pop(key, None)

    def differ(self, now: int) -> bool:
        """Both have opened a connection to the same peer, and reordering is no excuse any more."""
        for key, since in self.alone[P].items():
            for other, later in self.alone[S].items():
                if _peer(key) == _peer(other) and max(since, later) + REORDER_NS <= now:
                    self.met(key)
                    return True
        return False


def _peer(key: Key) -> Key:
    """Without the guest's port."""
    return (*key[:-2], key[-1])
