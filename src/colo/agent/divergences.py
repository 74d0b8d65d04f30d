"""Where the two copies differed, as the relay remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.api.service import Divergence, Divergences

if TYPE_CHECKING:
    from colo._core import Relay

_KEPT = 256
_NS_PER_MS = 1_000_000


def by_kind(relay: Relay) -> dict[str, int]:
    """All of them, counted."""
    return relay.divergences(0)[0]


def read(relay: Relay) -> Divergences:
    """Everything that is remembered."""
    counts, last = relay.divergences(_KEPT)
    first = sum(counts.values()) - len(last) + 1
    return Divergences(
        counts,
        tuple(
            Divergence(
                number=number,
                at_ns=at,
                epoch=epoch,
                nic=nic,
                flow=flow,
                kind=kind,
                offset=offset,
                primary=primary.hex(),
                secondary=secondary.hex(),
                held_ms=round(held_ns / _NS_PER_MS, 3),
                detail=detail,
            )
            for number, (
                nic,
                flow,
                kind,
                epoch,
                at,
                held_ns,
                offset,
                primary,
                secondary,
                detail,
            ) in enumerate(last, first)
        ),
    )
