"""The state of a running VM moves into another running QEMU, again and again."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import anyio
import pytest
from counting import (
    BACKWARDS,
    CARD,
    COUNTER_AT,
    MEMORY_MIB,
    Ram,
    becomes,
    boot_disk,
    checkpoint,
    power_off,
    printed,
    read_by_peer,
)

from colo import _core
from colo.errors import QemuError
from colo.guest import GUEST_APPEND
from colo.hypervisor import Hooks, QmpRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

    from colo.guest import GuestImage
    from colo.hypervisor import QemuEvent

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("machine", "times"), [("pc", 5), ("q35", 20)])
async def test_the_secondary_goes_on_from_what_the_primary_had_every_time(
    start: Start, qemu: Path, machine: str, times: int
) -> None:
    async with start(qemu, "p", machine) as primary, start(qemu, "s", machine) as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting()
        before = 0
        for _ in range(times):
            count = await checkpoint(primary, secondary, rams)
            assert count > before
            # The number goes on only if the CPU's register was restored too: the guest writes the register.
            await secondary.cont()
            await rams[1].goes_on(count)
            assert count < rams[1].count() < count + (1 << 30)
            before = count


async def test_the_load_takes_the_register_from_the_primary_and_not_from_the_secondarys_own_run(
    start: Start, qemu: Path
) -> None:
    async with start(qemu, "p") as primary, start(qemu, "s") as secondary:
        rams = Ram(primary), Ram(secondary)
        await secondary.boot()
        await rams[1].counting()
        await primary.boot()
        await rams[0].counting()
        count = await checkpoint(primary, secondary, rams)
        rams[1].bytes[COUNTER_AT : COUNTER_AT + 4] = bytes(4)
        await secondary.cont()
        await rams[1].goes_on(0)
        assert count < rams[1].count() < count + (1 << 30)


async def test_the_secondary_runs_the_primarys_code_and_not_what_was_translated_of_its_own(
    start: Start, qemu: Path, tmp_path: Path
) -> None:
    """QEMU >= 10.2 under TCG runs the old code after a mere `stop`, overwriting and `snapshot-load`."""
    other = boot_disk(tmp_path, BACKWARDS)
    async with start(qemu, "p") as primary, start(qemu, "s", disk=other) as secondary:
        rams = Ram(primary), Ram(secondary)
        await secondary.boot()
        await rams[1].counting(BACKWARDS)
        await primary.boot()
        await rams[0].counting()
        count = await checkpoint(primary, secondary, rams)
        await secondary.cont()
        await rams[1].goes_on(count)
        assert count < rams[1].count() < count + (1 << 30)


async def test_a_clean_stop_leaves_the_run_state_of_a_failed_load(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.stop_clean()
        assert await vm.run_state() == "prelaunch"  # it never ran: nothing was translated
        await vm.boot()
        await vm.stop_clean()
        assert await vm.run_state() == "restore-vm"
        await vm.cont()
        assert await vm.run_state() == "running"


async def test_a_paused_guest_is_stopped_clean_all_the_same(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        await vm.save()
        await vm.stop_clean()
        assert await vm.run_state() == "restore-vm"


async def test_a_guest_that_powered_off_takes_a_load_and_runs(start: Start, qemu: Path) -> None:
    async with start(qemu, "p") as primary, start(qemu, "s") as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting()
        await secondary.boot()
        await rams[1].counting()
        await power_off(secondary)
        assert await secondary.run_state() == "shutdown"
        count = await checkpoint(primary, secondary, rams)
        await secondary.cont()
        await rams[1].goes_on(count)


async def test_a_guest_that_panicked_takes_a_load_and_runs(start: Start, qemu: Path) -> None:
    extra = ("-device", "pvpanic", "-action", "panic=pause")
    async with start(qemu, "p", more=extra) as primary, start(qemu, "s", more=extra) as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting()
        await secondary.boot()
        await rams[1].counting()
        panic = {"command-line": "o /b 0x505 1"}  # pvpanic's port
        await secondary._qmp.execute("human-monitor-command", panic)
        await becomes(secondary, "guest-panicked")
        count = await checkpoint(primary, secondary, rams)
        await secondary.cont()
        await rams[1].goes_on(count)


async def test_what_the_reset_before_a_load_writes_into_memory_is_seen_by_the_tracker(
    start: Start, qemu: Path
) -> None:
    """A loader device writes at each reset: mending takes what the tracker reports after the load."""
    at, value = 0x200000, bytes.fromhex("efbeadde")
    extra = ("-device", f"loader,addr={at},data=0xdeadbeef,data-len=4")
    options = {"uffd_source": _core}
    async with (
        start(qemu, "p", more=extra) as primary,
        start(qemu, "s", more=extra, options=options) as secondary,
    ):
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting()
        ram = _core.GuestRam(secondary.ram_fd, MEMORY_MIB << 20)
        tracker = _core.Tracker("pagemap-scan", secondary.pid, ram, secondary.uffd)
        await primary.begin_save()
        await primary.save()
        rams[0].bytes[at : at + 4] = b"ours"
        rams[1].bytes[:] = rams[0].bytes[:]
        await secondary.stop_clean()
        tracker.collect(stopped=True)
        await secondary.load(await primary.read_state())
        assert rams[1].bytes[at : at + 4] == value
        assert _has(tracker.collect(stopped=True), at // _core.PAGE_SIZE)


def _has(pages: _core.PageSet, page: int) -> bool:
    """Whether the set holds a page: adding it to those below it must add nothing to the union."""
    without, with_it = (len(pages.union(_core.PageSet.all(count))) for count in (page, page + 1))
    return without == with_it


async def test_linux_goes_on_after_several_loads_and_announces_nothing(
    start: Start, qemu: Path, guest: GuestImage
) -> None:
    """Its network driver is up: only then do loads reset and announce a card (and used to crash QEMU). It has
    no IPv6 addresses, which it would look for by itself.
    """
    linux = {
        "kernel": guest.kernel,
        "initrd": guest.initramfs,
        "append": f"{GUEST_APPEND} colo.ip=10.77.0.2/24 ipv6.disable_ipv6=1",
        "memory_mib": 128,
        "extra": (),
    }
    async with start(qemu, "p", **linux) as primary, start(qemu, "s", **linux) as secondary:
        rams = Ram(primary, 128), Ram(secondary, 128)
        (wire,) = secondary.connect_nics().values()
        with wire:
            await primary.boot()
            await printed(primary, "colo-guest: ready")
            for _ in range(4):
                await checkpoint(primary, secondary, rams)
                await secondary.cont()
                wire.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    wire.recv(1)
            assert await secondary.run_state() == "running"


async def test_qemu_reads_the_wire_of_every_card_and_a_wire_can_be_connected_again(
    start: Start, qemu: Path
) -> None:
    async with start(qemu, nic=(CARD, CARD)) as vm:
        for wire in vm.connect_nics().values():
            wire.close()
        with ExitStack() as wires:
            again = [wires.enter_context(wire) for wire in vm.connect_nics().values()]
            assert len(again) == 2
            for wire in again:
                wire.sendall((60).to_bytes(4, "big") + bytes(60))
                await read_by_peer(wire)


async def test_damaged_device_state_is_refused_and_named(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.stop_clean()
        with pytest.raises(QemuError, match="damaged"):
            await vm.load(b"nothing like it")
        with pytest.raises(QmpRefusedError, match="snapshot-load"):
            await vm.load(b"QEVM, and then nothing like it")


async def test_a_checkpoint_that_was_given_up_does_not_disturb_the_next(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()  # and nobody waits for the end of the save
        await vm.cont()
        assert await vm.run_state() == "running"
        await vm.begin_save()
        await vm.save()
        await vm.cont()
        assert 100_000 < len(await vm.read_state()) < 4_000_000


async def test_a_save_that_is_cancelled_at_any_moment_leaves_a_vm_that_runs_on(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        for moment in range(12):
            with anyio.move_on_after(moment / 1000):
                await vm.begin_save()
                await vm.save()
            await vm.cont()
            assert await vm.run_state() == "running"


async def test_the_time_that_the_guest_stands_still_is_between_qemus_own_stop_and_resumption(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        began = time.monotonic()
        stopped = await vm.begin_save()
        saved = await vm.save()
        runs = await vm.cont()
        assert began < stopped < saved < runs < time.monotonic()


async def test_a_guest_goes_on_when_it_is_saved_if_that_was_said_before(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        vm.go_on_when_saved()
        saved = await vm.save()
        await becomes(vm, "running")
        assert saved < await vm.cont() < time.monotonic()
        assert len(await vm.read_state()) > 100_000


async def test_a_guest_is_told_to_go_on_at_once_where_it_was_saved_by_then(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        await vm.save()
        vm.go_on_when_saved()
        await becomes(vm, "running")
        await vm.cont()


async def test_a_guest_that_is_stopped_does_not_go_on_for_what_was_said_before(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        vm.go_on_when_saved()
        await vm.stop()
        await vm.save()
        for _ in range(20):
            assert await vm.run_state() != "running"
        await vm.cont()
        assert await vm.run_state() == "running"


async def test_a_guest_that_went_on_and_was_stopped_is_told_to_go_on_anew(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        vm.go_on_when_saved()
        await vm.save()
        await becomes(vm, "running")
        await vm.stop()
        await vm.cont()
        assert await vm.run_state() == "running"


async def test_what_loads_need_of_qemu_is_put_away_before_a_save(start: Start, qemu: Path) -> None:
    """A block node is given up at the end of a save, and taken back while the guest stands still."""
    async with start(qemu) as vm:
        await vm.boot()
        await vm.stop_clean()
        before = {node["node-name"] for node in await vm._qmp.execute("query-named-block-nodes")}
        await vm.cont()
        await vm.begin_save()
        await vm.save()
        after = {node["node-name"] for node in await vm._qmp.execute("query-named-block-nodes")}
        assert "vmstate-empty" in before - after
        await vm.cont()
        await vm.stop_clean()
        assert await vm.run_state() == "restore-vm"


async def test_a_guest_that_does_not_run_is_saved_too(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.begin_save()
        await vm.save()
        assert len(await vm.read_state()) > 100_000


async def test_events_are_handed_on(start: Start, qemu: Path) -> None:
    events: list[QemuEvent] = []
    async with start(qemu, options={"hooks": Hooks(events.append)}) as vm:
        await vm.boot()
        await vm.stop()
        await vm.run_state()
    names = [event.name for event in events if event.name in {"RESUME", "STOP"}]
    assert names == ["RESUME", "STOP"]
