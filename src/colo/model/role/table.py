"""The life of an agent as a table. A sentence in a row is what people read when it happens; `{why}` is the
event's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from attrs import frozen

from colo.model.role.actions import (
    AskToResign,
    ContinueVm,
    DropLink,
    DropVm,
    EndPairing,
    Promote,
    RoleAction,
    RunAlone,
    StartReplica,
    StartSync,
    StartVm,
    StopVm,
)
from colo.model.role.events import (
    Boot,
    BootGivenUp,
    Committed,
    Failover,
    GateClosed,
    HigherToken,
    LeaseDenied,
    LeaseGone,
    LeaseTaken,
    LeaseWon,
    PeerLost,
    PeerResigns,
    PrimaryJoined,
    ReplicaFailed,
    ReplicaReady,
    SecondaryJoined,
    Shutdown,
    StandbyCleared,
    StandbyNamed,
    VmDied,
    VmStopped,
)
from colo.model.role.states import State
from colo.model.table import NOT_NOW, OWN_BUG, PEER_ERROR, Fault, each


@frozen
class To:
    """A transition, its sentence, and its actions."""

    state: State
    why: str
    do: tuple[Callable[[str], RoleAction], ...] = ()


IGNORE: Literal["ignore"] = "ignore"
Entry = To | Fault | Literal["ignore"]
Row = Mapping[type, Entry]

# Shared by all rows. A row overrides what means something there; nothing is left open.
_OPERATOR = each(NOT_NOW, Boot, Failover, Shutdown)
# The agent looks at `may_protect` and `may_join` first.
_JOINS = each(OWN_BUG, SecondaryJoined, PrimaryJoined)
_REPLICA = each(OWN_BUG, ReplicaReady, ReplicaFailed)
_LATE: Row = each(IGNORE, LeaseWon, LeaseTaken, LeaseGone, StandbyNamed, StandbyCleared, GateClosed)
_BASE: Row = {
    **_OPERATOR, **_JOINS, **_REPLICA, **_LATE,
    **each(IGNORE, BootGivenUp, PeerLost, PeerResigns, HigherToken, Committed),
    **each(IGNORE, VmStopped, VmDied, LeaseDenied),
}  # fmt: skip

_DEPOSED: Row = {
    HigherToken: To(
        State.DROPPING, "{node} holds token {token}, a higher one: this copy is stale", (DropLink, DropVm)
    ),
    LeaseDenied: To(State.DROPPING, "deposed: {why}; this copy is stale", (DropLink, DropVm)),
}
_DEAD = To(State.RELEASING, "the VM died ({why})")
_END = To(State.RESIGNING, "ended by the operator", (StopVm,))
_RUNS: Row = {**_BASE, **_DEPOSED, VmDied: _DEAD, Shutdown: _END}
"""A primary with a running VM."""

_LOST = To(
    State.CLEARING,
    "the secondary is lost: {why}; holding output until the witness has struck it off",
    (EndPairing, DropLink),
)
_SYNC = To(State.SYNCING, "{node} is being filled", (StartSync,))
_FENCE: Row = {GateClosed: To(State.FENCED, "fenced: {why}; the VM is stopped", (DropLink, StopVm))}

_USELESS = (DropLink, DropVm)
_REPLICA_DIED: Row = {
    VmDied: To(State.DROPPING, "the replica's QEMU died: {why}", _USELESS),
    ReplicaFailed: To(State.DROPPING, "the replica is lost: {why}", _USELESS),
    Shutdown: To(State.DROPPING, "ended by the operator", _USELESS),
    PeerResigns: PEER_ERROR,
}
_STALE: Row = {LeaseDenied: To(State.DROPPING, "{why}: this replica was left behind", _USELESS)}
_PROMOTE = "the lease is ours and the replica is ready: promoted"

TABLE: Mapping[State, Row] = {
    State.IDLE: {
        **_BASE,
        Boot: To(State.STARTING, "asking the witness for the lease"),
        PrimaryJoined: To(State.JOINING, "{node} fills a replica here", (StartReplica,)),
        Shutdown: IGNORE,
        **each(OWN_BUG, Committed),
    },
    # --- primary ---
    State.STARTING: {
        **_BASE,
        Boot: IGNORE,
        LeaseWon: To(State.UNPROTECTED, "{why}: the VM starts here", (StartVm,)),
        LeaseTaken: To(State.IDLE, "not started: {why}"),
        LeaseDenied: To(State.IDLE, "not started: {why}"),
        BootGivenUp: To(State.IDLE, "not started: {why}"),
        Shutdown: To(State.IDLE, "ended by the operator"),
        **each(OWN_BUG, Committed),
    },
    State.UNPROTECTED: {**_RUNS, SecondaryJoined: _SYNC},
    State.SYNCING: {
        **_RUNS,
        Committed: To(
            State.CONFIRMING, "checkpoint {checkpoint} is committed: naming the secondary at the witness"
        ),
        PeerLost: To(State.DEGRADED, "not protected: {why}", (EndPairing, DropLink, RunAlone)),
    },
    State.CONFIRMING: {
        **_RUNS,
        **_FENCE,
        StandbyNamed: To(State.PROTECTED, "protected: {why}"),
        PeerLost: _LOST,
    },
    State.PROTECTED: {
        **_RUNS,
        **_FENCE,
        PeerLost: _LOST,
        Failover: To(State.RESIGNING, "failover asked for by the operator", (StopVm,)),
        PeerResigns: To(State.RESIGNING, "failover asked for by the secondary's operator", (StopVm,)),
    },
    State.CLEARING: {
        **_RUNS,
        **_FENCE,
        StandbyCleared: To(State.DEGRADED, "{why}: the VM runs alone", (RunAlone,)),
    },
    State.DEGRADED: {**_RUNS, SecondaryJoined: _SYNC},
    State.FENCED: {
        **_RUNS,
        StandbyCleared: To(
            State.DEGRADED, "{why}: nobody took over, the VM goes on alone", (ContinueVm, RunAlone)
        ),
    },
    State.RESIGNING: {
        **_BASE,
        **_DEPOSED,
        VmStopped: To(State.RELEASING, "{before}; the VM is stopped"),
        VmDied: To(State.RELEASING, "{before}; the VM is stopped"),
        **each(IGNORE, Failover, Shutdown),
    },
    State.RELEASING: {
        **_BASE,
        **_DEPOSED,
        LeaseGone: To(State.DROPPING, "{before}: {why}", (DropLink, DropVm)),
        **each(IGNORE, Failover, Shutdown),
    },
    # --- secondary ---
    State.JOINING: {
        **_BASE,
        **_REPLICA_DIED,
        Committed: To(State.STANDBY, "checkpoint {checkpoint} is whole: standing by"),
        PeerLost: To(State.DROPPING, "{why}; the replica was not whole yet", _USELESS),
    },
    State.STANDBY: {
        **_BASE,
        **_REPLICA_DIED,
        PeerLost: To(
            State.SEEKING, "the primary is lost: {why}; asking for the lease", (EndPairing, DropLink)
        ),
        Failover: To(
            State.STANDBY, "failover asked for by the operator: asking the primary to resign", (AskToResign,)
        ),
    },
    State.SEEKING: {
        **_BASE,
        **_REPLICA_DIED,
        **_STALE,
        ReplicaReady: To(State.READY, "the replica is ready; waiting for the lease"),
        LeaseWon: To(State.FINISHING, "{why}; the replica still finishes its checkpoint"),
        **each(IGNORE, Failover, PeerResigns),
    },
    State.READY: {
        **_BASE,
        **_REPLICA_DIED,
        **_STALE,
        LeaseWon: To(State.DEGRADED, _PROMOTE, (Promote,)),
        **each(IGNORE, Failover, PeerResigns),
    },
    State.FINISHING: {
        **_BASE,
        **_REPLICA_DIED,
        **_DEPOSED,
        ReplicaReady: To(State.DEGRADED, _PROMOTE, (Promote,)),
        **each(IGNORE, Failover, PeerResigns),
    },
    State.DROPPING: {
        **_BASE,
        VmDied: To(State.IDLE, "idle; before: {before}"),
        Shutdown: IGNORE,
        **each(IGNORE, ReplicaReady, ReplicaFailed),
    },
}
