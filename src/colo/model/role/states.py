"""The states of an agent, and the words that people see for them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """Where this agent is in its life."""

    IDLE = "idle"  # no VM, no replica

    STARTING = "starting"  # wants the lease, to boot the VM
    UNPROTECTED = "unprotected"  # runs the VM; nobody asked for more
    SYNCING = "syncing"  # runs the VM; a secondary is being filled
    CONFIRMING = "confirming"  # the first checkpoint is committed: the witness is to know the standby
    PROTECTED = "protected"
    CLEARING = "clearing"  # the secondary is lost: holds until the witness has struck it off
    DEGRADED = "degraded"  # runs the VM alone, and wants a secondary
    FENCED = "fenced"  # the lease could not be kept: the VM is stopped until the witness says whose it is
    RESIGNING = "resigning"  # stops the VM, to hand over or to end
    RELEASING = "releasing"  # the VM is stopped or dead: gives the lease back

    JOINING = "joining"  # a replica is being filled
    STANDBY = "standby"  # a whole replica
    SEEKING = "seeking"  # primary lost: wants the lease, the replica still finishes
    READY = "ready"  # primary lost: wants the lease, the replica is ready
    FINISHING = "finishing"  # has the lease, the replica still finishes

    DROPPING = "dropping"  # the QEMU here must go: what it holds is stale or ended


WORDS: Mapping[State, str] = {
    State.IDLE: "idle",
    State.STARTING: "idle",
    State.UNPROTECTED: "unprotected",
    State.SYNCING: "syncing",
    State.CONFIRMING: "syncing",
    State.PROTECTED: "protected",
    State.CLEARING: "degraded",
    State.DEGRADED: "degraded",
    State.FENCED: "fenced",
    State.RESIGNING: "failing-over",
    State.RELEASING: "failing-over",
    State.JOINING: "syncing",
    State.STANDBY: "protected",
    State.SEEKING: "failing-over",
    State.READY: "failing-over",
    State.FINISHING: "failing-over",
    State.DROPPING: "fenced",
}
"""The VM's state as DESIGN and the user interface name it."""


class Wish(Enum):
    """What a state wants from the witness."""

    NOTHING = "no lease: give it back if there is one"
    HOLD_STILL = "ask nothing; output is closed"
    ACQUIRE = "the lease"
    KEEP = "to renew"
    NAME_STANDBY = "to name the secondary the standby"
    CLEAR_STANDBY = "to strike the standby off"


WISHES: Mapping[State, Wish] = {
    State.IDLE: Wish.NOTHING,
    State.STARTING: Wish.ACQUIRE,
    State.UNPROTECTED: Wish.KEEP,
    State.SYNCING: Wish.KEEP,
    State.CONFIRMING: Wish.NAME_STANDBY,
    State.PROTECTED: Wish.KEEP,
    State.CLEARING: Wish.CLEAR_STANDBY,
    State.DEGRADED: Wish.KEEP,
    State.FENCED: Wish.CLEAR_STANDBY,
    State.RESIGNING: Wish.HOLD_STILL,
    State.RELEASING: Wish.NOTHING,
    State.JOINING: Wish.NOTHING,
    State.STANDBY: Wish.NOTHING,
    State.SEEKING: Wish.ACQUIRE,
    State.READY: Wish.ACQUIRE,
    State.FINISHING: Wish.KEEP,
    State.DROPPING: Wish.NOTHING,
}
