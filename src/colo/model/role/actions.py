"""What the role machine asks for. Each action carries the sentence that led to it.

They are carried out in order. Those marked *reports* take time. The actions of `lease.py` come with them.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class _Because:
    why: str


class StartVm(_Because):
    """Boot the VM and run it alone. A failure is a VmDied."""


class StartSync(_Because):
    """Fill the secondary; then make a `checkpoint.primary.Primary` and trigger its first checkpoint."""


class EndPairing(_Because):
    """The peer is lost: stop filling; tell the checkpoint machine, if any (PeerLost or PrimaryLost)."""


class DropLink(_Because):
    """Say Goodbye with the reason, if that is possible, and close the link."""


class RunAlone(_Because):
    """Nobody else can take over: release everything, run without a secondary."""


class ContinueVm(_Because):
    """Run the VM again that StopVm stopped. A failure is a VmDied."""


class StopVm(_Because):
    """End the checkpoint machine, wherever it is; stop the VM for certain. *Reports* VmStopped, or VmDied if
    it had to be killed.
    """


class DropVm(_Because):
    """End the checkpoint machine; kill this agent's QEMU, if there is one. *Reports* VmDied in any case."""


class StartReplica(_Because):
    """Start a QEMU that waits for checkpoints; make a `checkpoint.secondary.Secondary`. A failure is a
    VmDied.
    """


class Promote(_Because):
    """The replica is the VM now: run it alone, keep its translation, announce it."""


class AskToResign(_Because):
    """Send Resign to the primary."""


RoleAction = (
    StartVm | StartSync | EndPairing | DropLink | RunAlone | ContinueVm | StopVm | DropVm
    | StartReplica | Promote | AskToResign
)  # fmt: skip
