"""A save that is prepared before it is wanted: the guest runs until it is, and whatever comes instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from counting import ON_SCREEN, Ram, becomes, boot_disk, checkpoint, power_off

from colo.hypervisor import saving

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

    from colo.hypervisor import Hypervisor

pytestmark = pytest.mark.anyio
MACHINES = pytest.mark.parametrize("machine", ["pc", "q35"])


async def _migration(vm: Hypervisor) -> str:
    found: dict[str, Any] = await vm._qmp.execute("query-migrate")
    return str(found["status"])


async def _prepared(vm: Hypervisor) -> None:
    """Ready, and QEMU has come as far as it goes by itself."""
    await vm.get_ready()
    with anyio.fail_after(5):
        while await _migration(vm) == "setup":  # noqa: ASYNC110
            await anyio.sleep(0.005)
    assert await _migration(vm) == "active"


async def _saved(vm: Hypervisor) -> bytes:
    """Its state; it runs on."""
    await vm.begin_save()
    await vm.save()
    await vm.cont()
    return await vm.read_state()


@MACHINES
async def test_a_state_that_was_prepared_long_before_is_that_of_the_stop(
    start: Start, qemu: Path, machine: str
) -> None:
    async with start(qemu, "p", machine) as primary, start(qemu, "s", machine) as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting()
        for _ in range(5):
            await _prepared(primary)
            await rams[0].goes_on(rams[0].count())
            assert await primary.run_state() == "running"
            count = await checkpoint(primary, secondary, rams)
            await secondary.cont()
            await rams[1].goes_on(count)
            assert count < rams[1].count() < count + (1 << 30)


async def test_what_the_guest_writes_on_a_screen_meanwhile_is_saved(
    start: Start, qemu: Path, tmp_path: Path
) -> None:
    """It is no RAM of the file: QEMU has to send it once more."""
    screen = {"disk": boot_disk(tmp_path, ON_SCREEN), "more": ("-device", "VGA")}
    async with start(qemu, "p", "pc", **screen) as primary, start(qemu, "s", "pc", **screen) as secondary:
        rams = Ram(primary), Ram(secondary)
        await primary.boot()
        await rams[0].counting(ON_SCREEN)
        await _prepared(primary)
        await rams[0].goes_on(rams[0].count())
        await checkpoint(primary, secondary, rams)
        number = rams[0].count()
        await secondary.cont()
        await rams[1].goes_on(number)


async def test_one_that_nobody_wants_any_more_leaves_the_guest_running_and_the_next_save_whole(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:
        ram = Ram(vm)
        await vm.boot()
        await ram.counting()
        await _prepared(vm)
        await vm.stand_down()
        assert await _migration(vm) == "failed"
        assert await vm.run_state() == "running"
        await ram.goes_on(ram.count())
        assert await _saved(vm)


async def test_the_guest_may_be_stopped_and_go_on_meanwhile(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        ram = Ram(vm)
        await vm.boot()
        await ram.counting()
        await _prepared(vm)
        await vm.stop()
        await vm.cont()
        await ram.goes_on(ram.count())
        assert await _migration(vm) == "active"
        assert await _saved(vm)


async def test_a_guest_that_powers_off_meanwhile_stays_off(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        ram = Ram(vm)
        await vm.boot()
        await ram.counting()
        await _prepared(vm)
        await power_off(vm)
        await vm.stand_down()
        assert await vm.run_state() == "shutdown"


async def test_a_qemu_that_does_not_wait_is_let_go_on_and_not_asked_again(
    start: Start, qemu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its firmware fits the pipe, it stops the guest though nobody asked."""
    monkeypatch.setattr(saving, "_WAITS_AFTER", 1 << 20)
    async with start(qemu) as vm:
        ram = Ram(vm)
        await vm.boot()
        await ram.counting()
        await vm.get_ready()
        watched = vm._saver._readiness._watched
        assert watched is not None
        with anyio.fail_after(5):
            await watched
        await becomes(vm, "running")
        await ram.goes_on(ram.count())
        await vm.get_ready()
        assert vm._saver._readiness._save is None
        assert await _saved(vm)


async def test_a_qemu_that_dies_meanwhile_is_waited_for_by_nobody(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.get_ready()
        watched = vm._saver._readiness._watched
        assert watched is not None
        await vm.kill("the test says so")
        with anyio.fail_after(5):
            await watched
