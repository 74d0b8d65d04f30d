"""What goes over the link besides control messages."""

from __future__ import annotations

from attrs import frozen


@frozen
class FrameIn:
    """A frame of the client, for the SVM."""

    request: int


@frozen
class FrameOut:
    """A frame of the SVM, for the comparison."""

    epoch: int
    request: int
    value: int


@frozen
class Cut:
    """What follows is after the cut."""

    checkpoint: int


@frozen
class State:
    """PAGES, DEVICE and STATE_END of a checkpoint in one."""

    checkpoint: int
    ram: tuple[int, ...]
    device: int
    damaged: bool


@frozen
class Heartbeat:
    """The relay lives; `progress` grows while the decision loop does."""

    progress: int
