"""What the two checkpoint machines ask for.

Actions are carried out in order. Those marked *reports* take time: the named event, or StepFailed, answers
each exactly once. At most one of them is under way, except that ResumeVm may be asked for while another
step still runs: that step is cancelled or awaited first. All others are done at once.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class _OfCheckpoint:
    checkpoint: int


# --- the primary's ---


@frozen
class SayPlan:
    """Tell the secondary what follows this checkpoint: its VM rests, or runs."""

    checkpoint: int
    rest: bool


class PauseIngressAndStop(_OfCheckpoint):
    """Let the VM read what it was sent, then stop it. *Reports* VmStopped."""


class MarkCut(_OfCheckpoint):
    """The VM is stopped: mark the cut in every channel (network in and out, disk). *Reports* only a failure:
    the link may be gone before anybody has said so.
    """


class CollectPages(_OfCheckpoint):
    """Copy the pages written since the last checkpoint aside. *Reports* PagesCollected."""


class SaveState(_OfCheckpoint):
    """Wait for the device state, which is saved from the stop on. *Reports* StateSaved."""


class GoOnWhenSaved(_OfCheckpoint):
    """Let the VM run as soon as its device state is saved, without asking again. ResumeVm follows in any
    case, and finds that it runs.
    """


class ResumeVm(_OfCheckpoint):
    """Let the VM and its network input run, whatever else failed. *Reports* VmResumed."""


class SendState(_OfCheckpoint):
    """Stream what was saved and collected, beside a ResumeVm that was asked for before. The answer is the
    peer's ReceivedByPeer; PeerLost, when it cannot be sent.
    """


class Commit(_OfCheckpoint):
    """Everything of epochs up to this one may leave."""


class NoteLoaded(_OfCheckpoint):
    """The secondary's VM runs the next epoch."""


class NoteStored(_OfCheckpoint):
    """The secondary has put it aside, its VM rests: nobody will agree to anything."""


@frozen
class DeclareSecondaryLost:
    """The VM runs, but this pairing is over. Goes to the role machine as PeerLost."""

    why: str


@frozen
class DeclareVmLost:
    """The VM cannot be made to run any more. Goes to the role machine as VmDied."""

    why: str


PrimaryAction = (
    SayPlan | PauseIngressAndStop | MarkCut | CollectPages | GoOnWhenSaved | SaveState | ResumeVm | SendState
    | Commit | NoteLoaded | NoteStored | DeclareSecondaryLost | DeclareVmLost
)  # fmt: skip


# --- the secondary's ---


class SayReceived(_OfCheckpoint):
    """Tell the primary: from here on this checkpoint is what survives."""


class StorePages(_OfCheckpoint):
    """Bring the RAM cache to the checkpoint; the VM is not touched. *Reports* Stored."""


class PassCut(_OfCheckpoint):
    """What came in before the cut is part of the checkpoint that is stored: none of it will be delivered."""


class StopSvm(_OfCheckpoint):
    """Stop the secondary's VM; what it sends from here on is dropped. *Reports* SvmStopped."""


class RestorePages(_OfCheckpoint):
    """Bring the VM's RAM to the cache. *Reports* Restored."""


class LoadDevices(_OfCheckpoint):
    """Load the device state. *Reports* DevicesLoaded."""


class MendPages(_OfCheckpoint):
    """Undo what reset and load wrote into RAM. *Reports* Mended."""


@frozen
class EnterEpoch:
    """What the VM sends from here on belongs to this epoch; translation starts anew."""

    epoch: int


class ResumeSvm(_OfCheckpoint):
    """Let the secondary's VM run. *Reports* SvmResumed."""


class Deliver(_OfCheckpoint):
    """Give the VM the frames that came in after the cut."""


class SayLoaded(_OfCheckpoint):
    """Tell the primary that the next epoch runs here."""


class SayStored(_OfCheckpoint):
    """Tell the primary that the checkpoint is in the cache, and that the VM rests."""


class ForgetCheckpoint(_OfCheckpoint):
    """Drop what has arrived of this checkpoint, if anything has."""


class ForgetCut(_OfCheckpoint):
    """The checkpoint will never come: the frames after its cut, if it was marked, go to the VM now."""


@frozen
class ReadyToPromote:
    """The VM that runs here can explain all that ever left. Goes to the role machine as ReplicaReady."""


@frozen
class LosePrimary:
    """No way on with this primary, but the VM here is good. Goes to the role machine as PeerLost."""

    why: str


@frozen
class LoseReplica:
    """The VM here is of no use any more and must never be promoted. Goes to the role machine as
    ReplicaFailed.
    """

    why: str


SecondaryAction = (
    SayReceived | StorePages | PassCut | StopSvm | RestorePages | LoadDevices | MendPages | EnterEpoch |
    ResumeSvm | Deliver | SayLoaded | SayStored | ForgetCheckpoint | ForgetCut | ReadyToPromote |
    LosePrimary | LoseReplica
)  # fmt: skip
