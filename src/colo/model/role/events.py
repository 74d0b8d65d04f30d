"""What happens to an agent. The answers of the witness stand in `lease.py`."""

from __future__ import annotations

from attrs import frozen

# --- the operator, through the API ---


@frozen
class Boot:
    """Run the VM here, if the witness allows it."""


@frozen
class BootGivenUp:
    """Nobody waits for the boot any more: the witness did not answer in time."""

    why: str


@frozen
class Failover:
    """Hand the VM over to the secondary. On the secondary: ask the primary to."""


@frozen
class Shutdown:
    """End what runs here. A protected VM goes on at the secondary."""


# --- the peer ---


@frozen
class SecondaryJoined:
    """Hellos agree, the secondary is ready to be filled, and protection is wanted (always, when degraded)."""

    node: str


@frozen
class PrimaryJoined:
    """Hellos agree, and the primary will fill this agent's replica."""

    node: str


@frozen
class PeerLost:
    """Link down, silent, stalled, Goodbye, PeerError; or a checkpoint machine gave the peer up."""

    why: str


@frozen
class PeerResigns:
    """Message Resign: the operator of the secondary wants a failover."""


@frozen
class HigherToken:
    """The peer showed (in its Hello) a token above this agent's own: it holds the lease, not we."""

    node: str
    token: int


# --- the VM and its checkpoints ---


@frozen
class Committed:
    """A checkpoint reached its commit point (primary: Commit, secondary: SayReceived)."""

    checkpoint: int


@frozen
class ReplicaReady:
    """The secondary's checkpoint machine: ReadyToPromote."""


@frozen
class ReplicaFailed:
    """The secondary's checkpoint machine: LoseReplica."""

    why: str


@frozen
class VmStopped:
    """Report of StopVm."""


@frozen
class VmDied:
    """The QEMU of this agent is gone, by itself or because of DropVm (which always ends in this report)."""

    why: str


Event = (
    Boot | BootGivenUp | Failover | Shutdown | SecondaryJoined | PrimaryJoined | PeerLost | PeerResigns
    | HigherToken | Committed | ReplicaReady | ReplicaFailed | VmStopped | VmDied
)  # fmt: skip


# --- made by `lease.py` from the answers of the witness ---


@frozen
class LeaseWon:
    """The lease is ours, with a new token."""

    why: str


@frozen
class LeaseTaken:
    """Not now: another node holds it."""

    why: str


@frozen
class LeaseDenied:
    """Never with what we hold: somebody has a higher token, or our replica is not the standby."""

    why: str


@frozen
class StandbyNamed:
    """The secondary may take over from now on."""

    why: str


@frozen
class StandbyCleared:
    """Nobody but this node may get the lease any more."""

    why: str


@frozen
class LeaseGone:
    """We hold no lease any more."""

    why: str


@frozen
class GateClosed:
    """The lease could not be renewed in time: output is closed."""

    why: str


LeaseEvent = LeaseWon | LeaseTaken | LeaseDenied | StandbyNamed | StandbyCleared | LeaseGone | GateClosed
