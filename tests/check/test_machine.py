"""Findings from made-up machines, and from this one."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from colo.check import Level, machine, memory

if TYPE_CHECKING:
    from pathlib import Path

HUGE = "always within_size advise [{}] deny force\n"


def test_this_kernel_is_fine() -> None:
    assert machine.kernel().level is Level.OK


@pytest.mark.parametrize(
    ("source", "level"), [("tsc", Level.OK), ("kvm-clock", Level.OK), ("hpet", Level.WARN)]
)
def test_a_slow_clock_is_warned_of(tmp_path: Path, source: str, level: Level) -> None:
    (tmp_path / "clock").write_text(source + "\n")
    finding = machine.clock(tmp_path / "clock")
    assert (finding.level, source in finding.message) == (level, True)
    assert machine.clock(tmp_path / "nothing").level is Level.WARN


def core(monkeypatch: pytest.MonkeyPatch, *tried: tuple[str, bool, str]) -> None:
    module = ModuleType("colo._core")
    module.probe_trackers = lambda: list(tried)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "colo._core", module)


def test_the_best_tracker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    core(monkeypatch, ("pagemap-scan", True, ""), ("compare", True, ""))
    finding = machine.dirty_tracking()
    assert (finding.level, finding.message) == (Level.OK, "by pagemap-scan")


def test_a_slower_tracker_is_warned_of_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    core(monkeypatch, ("pagemap-scan", False, "old kernel"), ("compare", True, ""))
    finding = machine.dirty_tracking()
    assert finding.level is Level.WARN
    assert "old kernel" in finding.message


def test_no_tracker_at_all_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    core(monkeypatch, ("pagemap-scan", False, "old kernel"))
    assert machine.dirty_tracking().level is Level.FAIL


def test_a_missing_core_is_a_finding_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colo._core", None)
    finding = machine.dirty_tracking()
    assert (finding.level, "make setup" in finding.hint) == (Level.FAIL, True)


def test_userfaultfd_is_really_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colo.check.machine._SYS_USERFAULTFD", 100_000)
    finding = machine.userfaultfd()
    assert (finding.level, finding.message) == (Level.WARN, "Function not implemented")


def proc(folder: Path, *, swaps: str = "", mounts: str = "", available_kib: int = 1 << 30) -> Path:
    (folder / "self").mkdir()
    (folder / "swaps").write_text("Filename\tType\tSize\n" + swaps)
    (folder / "self" / "mountinfo").write_text(mounts)
    (folder / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available_kib} kB\n")
    return folder


@pytest.mark.parametrize(
    ("setting", "level"),
    [
        ("never", Level.OK),
        ("deny", Level.OK),
        ("advise", Level.OK),
        ("always", Level.WARN),
        ("within_size", Level.WARN),
        ("force", Level.WARN),
    ],
)
def test_huge_pages_in_shared_memory_are_never_wanted(tmp_path: Path, setting: str, level: Level) -> None:
    (tmp_path / "setting").write_text(HUGE.format(setting))
    assert memory.huge_pages(tmp_path / "setting", proc(tmp_path)).level is level


def test_a_mount_with_huge_pages_is_found(tmp_path: Path) -> None:
    line = "30 23 0:26 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=1g,huge=always\n"
    finding = memory.huge_pages(tmp_path / "none", proc(tmp_path, mounts=line))
    assert finding.level is Level.WARN
    assert "huge=always" in finding.message


def test_swap_is_warned_of_with_its_device(tmp_path: Path) -> None:
    assert memory.swap(proc(tmp_path)).level is Level.OK
    (tmp_path / "swaps").write_text("Filename Type\n/dev/sda2 partition 1 0 -2\n")
    assert "/dev/sda2" in memory.swap(tmp_path).message
    assert memory.swap(tmp_path).level is Level.WARN


def test_without_a_vm_memory_is_told_as_the_largest_one_that_fits(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    3145728 kB\n")
    finding = memory.largest(tmp_path)
    assert finding.level is Level.OK
    assert "VM of 1024 MiB" in finding.message
