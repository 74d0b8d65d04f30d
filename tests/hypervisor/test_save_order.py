"""The RAM may be read while QEMU still saves the devices: from the stop on nobody writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from linux import MEMORY_MIB, answers, booted, linux

from colo import _core

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

    from colo.guest import GuestImage
    from colo.hypervisor import Hypervisor

pytestmark = pytest.mark.anyio
TIMES = 5
WITH_SHIM = {"uffd_source": _core}


def _tracker(vm: Hypervisor) -> _core.Tracker:
    kind = next(kind for kind, usable, _ in _core.probe_trackers() if usable and kind != "soft-dirty")
    return _core.Tracker(kind, vm.pid, _core.GuestRam(vm.ram_fd, MEMORY_MIB << 20), vm.uffd)


@pytest.mark.parametrize("machine", ["q35", "pc"])
async def test_no_page_of_a_busy_guest_is_written_after_the_stop_that_begin_save_tells_of(
    start: Start, qemu: Path, guest: GuestImage, machine: str
) -> None:
    async with start(qemu, machine=machine, options=WITH_SHIM, cpus=2, **linux(guest)) as vm:
        await booted(vm)
        tracker = _tracker(vm)
        for _ in range(TIMES):
            assert await answers(vm)
            await vm.begin_save()
            assert len(tracker.collect(stopped=True)) > 0
            await vm.save()
            assert len(tracker.collect(stopped=True)) == 0
            await vm.cont()


async def test_where_a_disk_may_still_write_ram_after_the_stop_the_end_of_the_save_is_awaited(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:  # boots from a disk
        await vm.boot()
        await vm.begin_save()
        save = vm._saver._save
        assert save is not None
        assert save._ended.event is not None


async def test_flash_is_no_disk_that_writes_ram(
    start: Start, qemu: Path, guest: GuestImage, cache: Path, tmp_path: Path
) -> None:
    variables = tmp_path / "vars.fd"
    variables.write_bytes((cache / "firmware/OVMF_VARS.fd").read_bytes())
    firmware = {"firmware": cache / "firmware/OVMF_CODE.fd", "firmware_vars": variables}
    async with start(qemu, **linux(guest), **firmware) as vm:
        assert not vm._saver._reads_disks
