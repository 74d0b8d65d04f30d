"""What all tables of this package are made of.

A table says for every state what every event means. An entry is a `To` (a transition with its actions), a
rule of the machine itself (an enum member with a name that says it), or one of `Fault`. A pair without an
entry is a mistake that a test finds.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NoReturn, TypeVar

from colo.model.errors import LocalError, NotNowError, PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping

E = TypeVar("E")


class Fault(Enum):
    """The event does not fit the state, and why that is."""

    PEER = "the peer broke the protocol"
    OWN = "a bug of this program"
    NOT_NOW = "the operator asks for something that this state cannot give"


PEER_ERROR, OWN_BUG, NOT_NOW = Fault.PEER, Fault.OWN, Fault.NOT_NOW

_ERRORS: Mapping[Fault, type[Exception]] = {
    Fault.PEER: PeerError,
    Fault.OWN: LocalError,
    Fault.NOT_NOW: NotNowError,
}


def each(entry: E, *events: type) -> dict[type, E]:
    """The same entry for several events: one line of a table instead of many."""
    return dict.fromkeys(events, entry)


def blame(fault: Fault, state: Enum, event: object) -> NoReturn:
    """Raises what the fault stands for: PeerError, LocalError or NotNowError."""
    raise _ERRORS[fault](f"{type(event).__name__} does not fit the state {state.value}")
