"""What happens to the two checkpoint machines. A report answers one action (see `actions.py`)."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Reason(Enum):
    """Why a checkpoint is wanted."""

    FIRST = "first"
    PERIOD = "period"
    MISMATCH = "mismatch"
    HOLD_LIMIT = "hold-limit"
    QUEUE_LIMIT = "queue-limit"
    MEMORY = "memory"
    OPERATOR = "operator"
    OUTPUT = "output"
    MODE = "mode"

    @property
    def is_waited_for(self) -> bool:
        """Something the VM has said leaves with the commit: that matters more than the pause."""
        return self in _WAITED_FOR


_WAITED_FOR = frozenset({Reason.MISMATCH, Reason.HOLD_LIMIT, Reason.QUEUE_LIMIT, Reason.OUTPUT})

RESUME = "resume"
"""The step of ResumeVm, as StepFailed names it."""


@frozen
class StepFailed:
    """Report: the action under way failed for good, or passed its own deadline. MarkCut, which is done at
    once, reports only this, if it fails.
    """

    step: str
    why: str


# --- the primary's ---


@frozen
class Trigger:
    """Somebody wants a checkpoint. `waited_ms`: for so long an answer has waited already; `epoch`: the one of
    that answer, if it is about one. The checkpoint that ends this epoch settles it, an earlier one does not.
    """

    reason: Reason
    detail: str = ""
    waited_ms: int = 0
    epoch: int | None = None


@frozen
class Pace:
    """The policy: how checkpoints go on. `period_ns`: the longest from the end of one to the next, 0 for
    ever; `rest`: the secondary's VM rests between them.
    """

    period_ns: int
    rest: bool


@frozen
class VmStopped:
    """Report of PauseIngressAndStop."""


@frozen
class StateSaved:
    """Report of SaveState: the device state is saved."""


@frozen
class PagesCollected:
    """Report of CollectPages: that many pages are staged, `size` bytes."""

    pages: int
    size: int


@frozen
class VmResumed:
    """Report of ResumeVm."""


@frozen
class ReceivedByPeer:
    """Message of the secondary: it holds all of this checkpoint. The commit point."""

    checkpoint: int


@frozen
class LoadedByPeer:
    """Message of the secondary: its VM runs from this checkpoint."""

    checkpoint: int


@frozen
class StoredByPeer:
    """Message of the secondary: it has put this checkpoint aside, and its VM rests."""

    checkpoint: int


@frozen
class PeerLost:
    """The role machine has given up the secondary."""

    why: str


@frozen
class Deadline:
    """The VM stands still for longer than `pause_timeout`, or the checkpoint takes longer than
    `checkpoint_timeout`. Made by the machine's own timer.
    """


PrimaryEvent = (
    Trigger | Pace | VmStopped | StateSaved | PagesCollected | VmResumed
    | ReceivedByPeer | LoadedByPeer | StoredByPeer | StepFailed | PeerLost | Deadline
)  # fmt: skip


# --- the secondary's ---


@frozen
class Planned:
    """Message of the primary, before anything of this checkpoint: what the VM does after it."""

    checkpoint: int
    rest: bool


@frozen
class StateComplete:
    """The relay has every byte of this checkpoint, and counts and checksum fit."""

    checkpoint: int


@frozen
class StateDamaged:
    """A checkpoint arrived, but not whole."""

    checkpoint: int
    why: str


@frozen
class Stored:
    """Report of StorePages."""


@frozen
class SvmStopped:
    """Report of StopSvm."""


@frozen
class Restored:
    """Report of RestorePages."""


@frozen
class DevicesLoaded:
    """Report of LoadDevices."""


@frozen
class Mended:
    """Report of MendPages."""


@frozen
class SvmResumed:
    """Report of ResumeSvm."""


@frozen
class PrimaryLost:
    """The role machine has given up the primary."""

    why: str


SecondaryEvent = (
    Planned | StateComplete | StateDamaged | Stored | SvmStopped | Restored | DevicesLoaded | Mended
    | SvmResumed | StepFailed | PrimaryLost
)  # fmt: skip
