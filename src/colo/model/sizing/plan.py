"""All that follows for one VM, and what binds."""

from __future__ import annotations

from attrs import frozen

from colo.model.sizing.costs import Costs
from colo.model.sizing.first_sync import first_sync_s
from colo.model.sizing.inputs import MIB, PAGE, Guest, Link, Machine, Setting
from colo.model.sizing.rhythm import Rhythm, rhythm

FRAME = 1460
"""Payload bytes of a full frame."""
_HEADERS = 90
"""Of Ethernet, IP and TCP, of the link's message, and of TLS's record."""
_ACKS = 0.5
"""A frame of acknowledgement for every two of data (RFC 9293, 3.8.6.3)."""
_STAGING_MIB = 32
_OF_SECONDARY = 0.5
"""Its agent handles each frame as well, but compares none."""
_REQUEST_FRAMES = 5
"""In either direction, of a connection with one small request and its answer."""


@frozen
class Limit:
    """Something that must not be exceeded: `value` of `most`, in the unit of the name."""

    name: str
    value: float
    most: float

    @property
    def share(self) -> float:
        """1 is all there is."""
        return self.value / self.most


@frozen
class Plan:
    """Milliseconds, seconds, MiB, processors, as the names say. Where parts are given, they add up.

    `interval_ms`: from one checkpoint to the next; None where only a need brings one. `differing_ms`: how
    long an answer waits that the copies do not agree on, in lock-step; in epochs any answer, on average.
    `disagree_ms`: from the trigger of a checkpoint until answers can agree again. `writes_per_s`: pages that
    the VM gets to write; `slowed`: it would write more. `fits`: no limit is exceeded and the VM is not slowed
    down. `binds`: the limit with the least room.
    """

    checkpoint_pages: float
    interval_ms: float | None
    trigger: str
    pause_parts_ms: dict[str, float]
    pause_ms: float
    stopped_percent: float
    commit_ms: float
    differing_ms: float
    disagree_ms: float
    link_parts_mbit_s: dict[str, float]
    link_back_mbit_s: dict[str, float]
    primary_mib: dict[str, float]
    secondary_mib: dict[str, float]
    primary_cpus: dict[str, float]
    secondary_cpus: dict[str, float]
    first_sync_s: float
    writes_per_s: float
    slowed: bool
    limits: tuple[Limit, ...]
    fits: bool
    binds: str


def plan(guest: Guest, setting: Setting, link: Link, machine: Machine) -> Plan:
    """The steady state of a protected VM."""
    costs = Costs(guest, setting, link, machine)
    beat = rhythm(costs)
    pages = beat.pages
    commit = costs.commit_ms(pages)
    there, back = _link(costs, beat), _link_back(costs)
    limits = _limits(costs, pages, max(sum(there.values()), sum(back.values())))
    cpu_ms = costs.cpu_ms(pages)
    return Plan(
        checkpoint_pages=pages,
        interval_ms=beat.interval_ms if beat.per_s else None,
        trigger=beat.trigger,
        pause_parts_ms=costs.pause_parts(pages),
        pause_ms=costs.pause_ms(pages),
        stopped_percent=costs.pause_ms(pages) * beat.per_s / 10,
        commit_ms=commit,
        differing_ms=commit + (beat.interval_ms / 2 if setting.epochs else link.rtt_ms / 2),
        disagree_ms=costs.through_ms(pages),
        link_parts_mbit_s=there,
        link_back_mbit_s=back,
        primary_mib=_primary_mib(costs, pages),
        secondary_mib=_secondary_mib(costs, pages),
        primary_cpus=_cpus(costs, guest.busy, cpu_ms[0] * beat.per_s, 1.0),
        secondary_cpus=_cpus(
            costs, 0.0 if setting.epochs else guest.busy, cpu_ms[1] * beat.per_s, _OF_SECONDARY
        ),
        first_sync_s=first_sync_s(costs),
        writes_per_s=beat.writes,
        slowed=beat.slowed,
        limits=limits,
        fits=not beat.slowed and all(limit.share <= 1 for limit in limits),
        binds=max(limits, key=lambda limit: limit.share).name,
    )


def _frames(mib_s: float) -> float:
    return mib_s * MIB / FRAME


def _mbit_s(guest: Guest, data_mib_s: float, acked_mib_s: float) -> float:
    """Of frames with so much data in one direction, and acknowledgements of what goes the other way."""
    frames = _frames(data_mib_s) + _ACKS * _frames(acked_mib_s) + _REQUEST_FRAMES * guest.requests
    return (data_mib_s * MIB + frames * _HEADERS) * 8 / 1e6


def _link(costs: Costs, beat: Rhythm) -> dict[str, float]:
    """Primary to secondary: each frame for the VM, for its copy."""
    guest = costs.guest
    return {
        "checkpoints": beat.pages * guest.page_bytes * beat.per_s * 8 / 1e6,
        "frames for the VM": _mbit_s(guest, guest.in_mib_s, guest.out_mib_s),
    }


def _link_back(costs: Costs) -> dict[str, float]:
    """Secondary to primary: what the copy says, to be compared."""
    guest = costs.guest
    compared = 0.0 if costs.setting.epochs else _mbit_s(guest, guest.out_mib_s, guest.in_mib_s)
    return {"frames of the copy": compared}


def _primary_mib(costs: Costs, pages: float) -> dict[str, float]:
    guest = costs.guest
    return {
        "guest RAM": guest.used_mib,
        "shadow": guest.used_mib if costs.setting.shadow else 0.0,
        "staging": max(pages * 1.25 * PAGE / MIB, _STAGING_MIB),
        "agent and QEMU": costs.machine.agent_mib + costs.machine.primary_qemu_mib,
    }


def _secondary_mib(costs: Costs, pages: float) -> dict[str, float]:
    guest = costs.guest
    return {
        "guest RAM": guest.used_mib,
        "RAM cache": guest.used_mib,
        "checkpoint coming in": pages * PAGE / MIB,
        "agent and QEMU": costs.machine.agent_mib + costs.machine.secondary_qemu_mib,
    }


def _cpus(costs: Costs, busy: float, checkpoint_ms_per_s: float, share: float) -> dict[str, float]:
    """`share`: what of the frames' cost this side has."""
    guest, machine = costs.guest, costs.machine
    frames = (1 + _ACKS) * _frames(guest.in_mib_s + guest.out_mib_s)
    moving_us_per_s = frames * machine.frame_us + guest.requests * machine.request_us
    return {
        "virtual CPUs": busy,
        "checkpoints": checkpoint_ms_per_s / 1e3,
        "frames": moving_us_per_s * share / 1e6,
        "agent": machine.agent_cpus,
    }


def _limits(costs: Costs, pages: float, mbit_s: float) -> tuple[Limit, ...]:
    setting = costs.setting
    return (
        Limit("pages in a checkpoint", pages, costs.most_pages()),
        Limit("Mbit/s on the link", mbit_s, costs.link.mbit_s),
        Limit("ms of pause", costs.pause_ms(pages), setting.pause_timeout_ms),
        Limit("ms of a checkpoint", costs.through_ms(pages), setting.checkpoint_timeout_ms),
    )
