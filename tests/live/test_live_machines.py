"""Pairs of other kinds than the demonstration's: in lock-step, and through the loss of a host."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from colo.errors import ColoError
from colo.guest import GUEST_APPEND
from colo.lab.pair import HOSTS, Options, Pair
from colo.lab.settings import GUEST_ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

ANSWERS = 150
_SOME = 5


async def _survives_the_loss_of_its_primary(pair: Pair) -> None:
    """A client counts: some answers in lock-step, then the primary's host dies, and not one is lost."""
    await pair.protected()
    before = await pair.status("alpha")
    counter = pair.client("counter", "counter", "--count", str(ANSWERS), "--interval", "0.02")
    await counter.goes_on(_SOME, 30.0)
    await pair.checkpoint()
    after = await pair.status("alpha")
    pair.kill("alpha")
    await pair.until("beta", "degraded")
    record = await counter.ended(60.0)
    assert record.whole
    assert record.answers == ANSWERS
    assert after.checkpoints.total > before.checkpoints.total
    assert after.traffic["released_agreed"] > 0


async def test_two_virtual_cpus(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, Options(vm={"cpus": 2})) as pair:
        await _survives_the_loss_of_its_primary(pair)


async def test_a_microvm(tmp_path: Path, lab_guest: Guest) -> None:
    append = f"{GUEST_APPEND} colo.ip={GUEST_ADDRESS}/24 tsc_early_khz=1000000"
    async with Pair(tmp_path, lab_guest, Options(vm={"machine": "microvm", "append": append})) as pair:
        await _survives_the_loss_of_its_primary(pair)


async def test_uefi_and_a_screen(tmp_path: Path, lab_guest: Guest, cache: Path) -> None:
    flash: dict[str, dict[str, Any]] = {}
    for host in HOSTS:
        variables = tmp_path / f"{host}.fd"
        shutil.copy(cache / "firmware/OVMF_VARS.fd", variables)
        flash[host] = {"firmware_vars": str(variables)}
    shared = {
        "firmware": str(cache / "firmware/OVMF_CODE.fd"),
        "extra": ["-device", "VGA,romfile="],
        "machine": "pc",
    }
    async with Pair(tmp_path, lab_guest, Options(vm=shared, vm_of=flash)) as pair:
        await _survives_the_loss_of_its_primary(pair)


async def test_a_pinned_machine_on_two_versions_of_qemu(
    tmp_path: Path, lab_guest: Guest, qemus: tuple[Path, ...]
) -> None:
    two = {host: {"qemu": str(qemu)} for host, qemu in zip(HOSTS, (qemus[0], qemus[2]), strict=True)}
    async with Pair(tmp_path, lab_guest, Options(vm={"machine": "pc-q35-7.2"}, vm_of=two)) as pair:
        await _survives_the_loss_of_its_primary(pair)


async def test_an_unpinned_machine_on_two_versions_of_qemu_is_refused_before_anything_is_copied(
    tmp_path: Path, lab_guest: Guest, qemus: tuple[Path, ...]
) -> None:
    two = {host: {"qemu": str(qemu)} for host, qemu in zip(HOSTS, (qemus[0], qemus[2]), strict=True)}
    async with Pair(tmp_path, lab_guest, Options(vm_of=two)) as pair:
        with pytest.raises(ColoError, match=r"vm.machine: 'pc-q35-7.2' here, 'pc-q35-") as caught:
            await pair.protected()
        assert "pinned vm.machine" in caught.value.hint
