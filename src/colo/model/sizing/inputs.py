"""What a plan is made from. Rates are per second, a MiB is 2^20 bytes, a Mbit is 10^6 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from colo.model.checkpoint.primary_table import Resume

PAGE = 4096
MIB = 1 << 20
IDLE_PAGES = 50
"""What a guest that does nothing writes from one checkpoint to the next (decision 0016)."""
SENT_RAW = 4105
"""Bytes on the link of a page of which nothing can be left out."""


@frozen
class Guest:
    """The VM and what it does.

    `used`: the share of its pages that were ever used. `busy`: virtual CPUs that compute.
    `writes`: pages written per second, to `over_mib` of its memory; a page that is written again before the
    next checkpoint counts once. `page_bytes`: what a written page takes on the link. `in_mib_s`, `out_mib_s`:
    the clients' traffic in bulk; `requests`: small ones per second, each with a connection of its own.
    """

    memory_mib: int
    used: float = 1.0
    busy: float = 1.0
    writes: float = 0.0
    over_mib: float | None = None
    page_bytes: float = SENT_RAW
    in_mib_s: float = 0.0
    out_mib_s: float = 0.0
    requests: float = 0.0

    @property
    def used_mib(self) -> float:
        """What it takes of the host's memory; only that has page tables."""
        return self.memory_mib * self.used

    @property
    def used_gib(self) -> float:
        """The same."""
        return self.used_mib / 1024

    @property
    def pages(self) -> float:
        """Of its memory."""
        return self.memory_mib * MIB / PAGE

    @property
    def working_set(self) -> float:
        """Pages that it writes to."""
        over = self.memory_mib if self.over_mib is None else min(self.over_mib, self.memory_mib)
        return over * MIB / PAGE


@frozen
class Setting:
    """Keys of the configuration (docs/configuration.md)."""

    period_ms: float = 10_000.0
    period_mib: int = 64
    max_staging_mib: int = 1024
    resume: Resume = "early"
    epochs: bool = False
    paused_percent: int = 20
    epoch_min_ms: float = 0.0
    epoch_max_ms: float = 200.0
    pause_timeout_ms: float = 2500.0
    checkpoint_timeout_ms: float = 5000.0
    shadow: bool = True


@frozen
class Link:
    """Between the hosts, for one VM."""

    mbit_s: float = 10_000.0
    rtt_ms: float = 0.1

    def ms(self, size: float) -> float:
        """How long so many bytes take."""
        return size * 8 / (self.mbit_s * 1000)


@frozen
class Machine:
    """What a host needs for each step, in the units of the names; docs/sizing.md says what each is.

    The defaults were measured there: two cores for both hosts, QEMU under TCG.
    """

    ahead_ms: float = 1.2
    ahead_ms_per_gib: float = 0.55
    drain_ms: float = 0.1
    prepare_ms: float = 2.7
    save_ms: float = 1.9
    begin_ms: float = 0.5
    collect_ms: float = 0.65
    scan_ms_per_gib: float = 0.65
    copy_mib_s: float = 5700.0
    resume_ms: float = 1.4
    steps_ms: float = 0.3
    send_ms: float = 2.4
    page_send_us: float = 1.8
    byte_send_ns: float = 1.6
    load_ms: float = 20.0
    place_copies: float = 2.4
    primary_cpu_ms: float = 16.0
    secondary_cpu_ms: float = 43.0
    frame_us: float = 8.0
    request_us: float = 420.0
    agent_cpus: float = 0.02
    agent_mib: float = 50.0
    primary_qemu_mib: float = 90.0
    secondary_qemu_mib: float = 40.0

    def copy_ms(self, pages: float) -> float:
        """Copying so many pages, from wherever they are."""
        return pages * PAGE / MIB / self.copy_mib_s * 1000
