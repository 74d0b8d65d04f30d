"""Machines of every kind that a pair may be are carried over, and run on as what they were."""

from __future__ import annotations

import re
import shutil
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from counting import MEMORY_MIB, ON_SCREEN, Ram, boot_disk, checkpoint, counting_vm
from linux import answers, booted, linux

if TYPE_CHECKING:
    from conftest import Start

    from colo.guest import GuestImage
    from colo.hypervisor import Hypervisor

pytestmark = pytest.mark.anyio
LINUX_MIB = 128
UEFI_MIB = 256
TIMES = 3
ROUND_TRIP = (0, 1, 0, 2, 1, 2, 0)
"""Three versions: each step from one to another is in it once."""
# Under TCG this kernel sometimes cannot measure the clock of a microvm, and then hangs.
MICROVM = "tsc_early_khz=1000000"


async def _carried(primary: Hypervisor, secondary: Hypervisor, mib: int) -> None:
    rams = Ram(primary, mib), Ram(secondary, mib)
    for _ in range(TIMES):
        await checkpoint(primary, secondary, rams)
        await secondary.cont()
        assert await answers(secondary)
        assert await answers(primary)


@pytest.mark.parametrize(
    ("machine", "cpus", "append"),
    [("q35", 2, ""), ("pc", 2, ""), ("microvm", 1, MICROVM), ("microvm", 2, MICROVM)],
)
async def test_linux_answers_after_each_load(
    start: Start, qemu: Path, guest: GuestImage, machine: str, cpus: int, append: str
) -> None:
    vm = {**linux(guest, append), "cpus": cpus}
    async with start(qemu, "p", machine, **vm) as primary, start(qemu, "s", machine, **vm) as secondary:
        await booted(primary)
        await _carried(primary, secondary, LINUX_MIB)


async def test_what_the_guest_wrote_on_its_screen_is_carried(
    start: Start, qemu: Path, tmp_path: Path
) -> None:
    """Video memory is no part of the guest's RAM: it travels with the device state."""
    disk = boot_disk(tmp_path, ON_SCREEN)
    extra = (*counting_vm(qemu, disk).extra, "-device", "VGA")
    async with start(qemu, "p", extra=extra) as primary, start(qemu, "s", extra=extra) as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting(ON_SCREEN)
        for _ in range(TIMES):
            await rams[0].goes_on(rams[0].count())
            count = await checkpoint(primary, secondary, rams)
            assert await _on_screen(secondary) in {count - 1, count}
            await secondary.cont()


async def _on_screen(vm: Hypervisor) -> int:
    said = await vm._qmp.execute("human-monitor-command", {"command-line": "xp /1xw 0xb8000"})
    found = re.search(r": 0x([0-9a-f]{8})", said)
    assert found
    return int(found[1], 16)


@pytest.fixture
def flash(cache: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """UEFI for two hosts."""
    found = {}
    for host in ("p", "s"):
        variables = tmp_path / f"vars-{host}.fd"
        shutil.copy(cache / "firmware/OVMF_VARS.fd", variables)
        found[host] = {"firmware": cache / "firmware/OVMF_CODE.fd", "firmware_vars": variables}
    return found


async def test_uefi_and_what_it_wrote_into_its_flash_are_carried_into_the_secondarys_file_too(
    start: Start, qemu: Path, guest: GuestImage, flash: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    vm = {**linux(guest), "memory_mib": UEFI_MIB}
    ours, theirs = flash["p"]["firmware_vars"], flash["s"]["firmware_vars"]
    async with (
        start(qemu, "p", **vm, **flash["p"]) as primary,
        start(qemu, "s", **vm, **flash["s"]) as secondary,
    ):
        await booted(primary)
        assert ours.read_bytes() != theirs.read_bytes()  # the firmware has written its boot entries
        await checkpoint(primary, secondary, (Ram(primary, UEFI_MIB), Ram(secondary, UEFI_MIB)))
        seen = [await _variables(vm, flash["p"], tmp_path / "seen") for vm in (primary, secondary)]
        assert seen == [ours.read_bytes()] * 2
        await secondary.cont()
        assert await answers(secondary)
        assert theirs.read_bytes() == ours.read_bytes()
        await _carried(primary, secondary, UEFI_MIB)


async def _variables(vm: Hypervisor, flash: dict[str, Any], file: Path) -> bytes:
    """As the guest sees them: below the code, which ends at 4 GiB."""
    size = flash["firmware_vars"].stat().st_size
    begin = (1 << 32) - flash["firmware"].stat().st_size - size
    await vm._qmp.execute("pmemsave", {"val": begin, "size": size, "filename": str(file)})
    return _read(file)


def _read(file: Path) -> bytes:
    return file.read_bytes()


@pytest.mark.qemu
async def test_a_pinned_machine_is_carried_from_each_version_of_qemu_to_each_other_one(
    start: Start, qemus: tuple[Path, ...], guest: GuestImage
) -> None:
    vm = {**linux(guest), "machine": "pc-q35-7.2"}
    async with AsyncExitStack() as hosts:
        primary = await hosts.enter_async_context(start(qemus[ROUND_TRIP[0]], "0", **vm))
        await booted(primary)
        for number, version in enumerate(ROUND_TRIP[1:], 1):
            secondary = await hosts.enter_async_context(start(qemus[version], str(number), **vm))
            await _carried(primary, secondary, LINUX_MIB)
            await primary.kill("the VM runs elsewhere")
            primary = secondary


@pytest.mark.qemu
@pytest.mark.parametrize(("machine", "oldest"), [("pc-i440fx-7.2", 0), ("pc-q35-10.0", 1)])
async def test_so_are_other_pinned_machines(
    start: Start, qemus: tuple[Path, ...], machine: str, oldest: int
) -> None:
    for one, other in permutations(qemus[oldest:3], 2):
        async with start(one, "p", machine) as primary, start(other, "s", machine) as secondary:
            rams = Ram(primary), Ram(secondary)
            await primary.boot()
            await rams[0].counting()
            for _ in range(TIMES):
                count = await checkpoint(primary, secondary, rams)
                await secondary.cont()
                await rams[1].goes_on(count)


async def test_the_pages_that_a_guest_writes_under_kvm_are_reported_and_its_state_is_carried(
    start: Start, qemu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real mode: that much of KVM works even where no Linux guest does, so `choose_accel` is passed by."""
    core = pytest.importorskip("colo._core")
    _skip_without_kvm()
    monkeypatch.setattr("colo.hypervisor.hypervisor.choose_accel", lambda wanted, _: wanted)
    options = {"uffd_source": core}
    async with (
        start(qemu, "p", accel="kvm", options=options) as primary,
        start(qemu, "s", accel="kvm", options=options) as secondary,
    ):
        assert await primary._qmp.execute("query-kvm") == {"enabled": True, "present": True}
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await _counting_or_skip(rams[0])
        assert primary.uffd is not None, primary.why_no_uffd
        assert rams[0].bytes[:]  # `checkpoint` reads all of it, which touches what the guest never used
        tracker = core.Tracker(
            "pagemap-scan", primary.pid, core.GuestRam(primary.ram_fd, MEMORY_MIB << 20), primary.uffd
        )
        await primary.begin_save()
        tracker.collect(stopped=True)
        await primary.cont()
        before = 0
        for _ in range(5):
            await rams[0].goes_on(rams[0].count())
            count = await checkpoint(primary, secondary, rams)
            assert count > before
            assert 0 < len(tracker.collect()) < 100
            await secondary.cont()
            await rams[1].goes_on(count)
            before = count


def _skip_without_kvm() -> None:
    try:
        Path("/dev/kvm").open("r+b").close()
    except OSError as error:
        pytest.skip(f"/dev/kvm: {error.strerror}")


async def _counting_or_skip(ram: Ram) -> None:
    try:
        await ram.counting()
    except TimeoutError:
        pytest.skip("/dev/kvm opens, but a real-mode guest does not run")
