"""What one checkpoint of so many pages costs. All of it grows with the pages, and none of it shrinks."""

from __future__ import annotations

from attrs import frozen

from colo.model.memory_limit import MemoryLimit
from colo.model.sizing.inputs import MIB, PAGE, SENT_RAW, Guest, Link, Machine, Setting

_NS_PER_MS = 1_000_000


@frozen
class Costs:
    """Milliseconds, of pages."""

    guest: Guest
    setting: Setting
    link: Link
    machine: Machine

    def left(self, pages: float) -> float:
        """What the VM writes after the copy ahead was begun, to be copied while it stands still; in epochs
        there is none.
        """
        if self.setting.epochs:
            return pages
        machine = self.machine
        since_ms = machine.copy_ms(pages) + machine.drain_ms + machine.prepare_ms
        return min(pages, self.guest.writes * since_ms / 1000)

    def collect_ms(self, pages: float) -> float:
        """The tracker visits the page tables of what is used, and what is left is copied aside."""
        machine = self.machine
        scan = self.guest.used_gib * machine.scan_ms_per_gib
        return machine.collect_ms + scan + machine.copy_ms(self.left(pages))

    def pause_parts(self, pages: float) -> dict[str, float]:
        """The VM stands still for the sum. Devices are saved while pages are collected."""
        machine = self.machine
        parts = {
            "devices and pages": max(machine.save_ms, machine.begin_ms + self.collect_ms(pages)),
            "steps between": machine.steps_ms,
            "resume": machine.resume_ms,
        }
        if self.setting.resume == "together":
            parts |= {"send": self.send_ms(pages), "load": self.place_ms(pages)}
        return parts

    def pause_ms(self, pages: float) -> float:
        """See `pause_parts`."""
        return sum(self.pause_parts(pages).values())

    def before_ms(self, pages: float) -> float:
        """From the trigger to the stop: the VM runs, while its pages are copied."""
        machine = self.machine
        ahead = machine.ahead_ms + self.guest.used_gib * machine.ahead_ms_per_gib + machine.copy_ms(pages)
        return (0.0 if self.setting.epochs else ahead) + machine.drain_ms + machine.prepare_ms

    def send_ms(self, pages: float) -> float:
        """From the resumption to RECEIVED: encoding and sending, or the link, whichever takes longer."""
        on_link = self.link.ms(pages * self.guest.page_bytes)
        return self.machine.send_ms + max(self._work_ms(pages), on_link) + self.link.rtt_ms

    def place_ms(self, pages: float) -> float:
        """From RECEIVED to LOADED: into the cache, and from there into the copy's RAM, which is looked at
        twice. A copy that rests is not touched.
        """
        if self.setting.epochs:
            return self._placing_ms(pages)
        return self.machine.load_ms + self._placing_ms(pages)

    def _placing_ms(self, pages: float) -> float:
        """Of `place_ms`, what grows with the VM."""
        copies = self.machine.copy_ms(pages) * self.machine.place_copies
        if self.setting.epochs:
            return copies / 2
        return 2 * self.guest.used_gib * self.machine.scan_ms_per_gib + copies

    def commit_ms(self, pages: float) -> float:
        """From the trigger until output that the copy does not agree to leaves."""
        if self.setting.resume == "together":
            parts = self.pause_parts(pages)
            return self.before_ms(pages) + sum(parts.values()) - parts["load"] - parts["resume"]
        return self.before_ms(pages) + self.pause_ms(pages) + self.send_ms(pages)

    def through_ms(self, pages: float) -> float:
        """From the trigger to LOADED or STORED: the next one can begin."""
        return self.commit_ms(pages) + self.place_ms(pages)

    def cpu_ms(self, pages: float) -> tuple[float, float]:
        """Processor time of a checkpoint on the primary and on the secondary, QEMU's included. Decoding takes
        half as much as encoding.
        """
        machine, work = self.machine, self._work_ms(pages)
        looks = 2 * self.guest.used_gib * machine.scan_ms_per_gib
        loading = 0.0 if self.setting.epochs else machine.secondary_cpu_ms
        return (
            machine.primary_cpu_ms + looks + machine.copy_ms(pages) + work,
            loading + self._placing_ms(pages) + work / 2,
        )

    def _work_ms(self, pages: float) -> float:
        """Reading, encoding and encrypting."""
        size = pages * self.guest.page_bytes
        return pages * self.machine.page_send_us / 1e3 + size * self.machine.byte_send_ns / 1e6

    def most_pages(self) -> int:
        """What a checkpoint may hold, as the agent reckons (`colo.model.memory_limit`)."""
        early = self.setting.resume == "early"
        deadline_ms = self.setting.checkpoint_timeout_ms if early else self.setting.pause_timeout_ms
        limit = MemoryLimit(
            self.setting.max_staging_mib * MIB // PAGE, int(deadline_ms / 2 * _NS_PER_MS), 0, 0
        )
        page_ms = max(self.link.ms(SENT_RAW), SENT_RAW * self.machine.byte_send_ns / 1e6)
        limit.link(page_ms * _NS_PER_MS)
        return limit.most
