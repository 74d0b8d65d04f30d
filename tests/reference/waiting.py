"""What waits on one connection."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import attrs
from offers import Offer, before
from reading import ACK, RST, SYN, Segment

if TYPE_CHECKING:
    from comparison import Held

URGENT = 4
"""Ends of urgent data of S that are kept."""


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
    pure = segment.length == 0 and segment.has(ACK) and segment.urgent_end is None
    return Kind.ACK if pure else Kind.DATA


@attrs.define(eq=False)
class Waiting:
    held: Held
    segment: Segment
    offer: Offer | None
    stale: bool = False
    """Its connection is over, another one has the ports."""

    @property
    def kind(self) -> Kind:
        return kind_of(self.segment)

    @property
    def end(self) -> int:
        return (self.segment.seq + self.segment.length) % 2**32


@attrs.frozen
class Owed:
    """What P has said and the client was not told, S being behind."""

    waiting: Waiting
    want: Offer


class Urgent:
    """Where urgent data ends is part of what a client sees: both name the same end, or neither names one."""

    def __init__(self) -> None:
        self.secondary: list[int] = []
        self.told: int | None = None

    def say(self, end: int | None) -> None:
        if end is not None and end not in self.secondary[-1:]:
            self.secondary = [*self.secondary, end][-URGENT:]

    def agrees(self, waiting: Waiting) -> bool:
        named, start = waiting.segment.urgent_end, waiting.segment.seq
        if named is not None:
            return named == self.told or named in self.secondary
        return not any(before(start, end) and not before(waiting.end, end) for end in self.secondary)

    def release(self, waiting: Waiting) -> None:
        named = waiting.segment.urgent_end
        self.told = self.told if named is None else named
        self.secondary = [end for end in self.secondary if before(waiting.end, end)]
