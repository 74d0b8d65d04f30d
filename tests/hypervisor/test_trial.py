"""What cannot be carried is found before anything is protected, with its name and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from counting import counting_vm

from colo.errors import QemuError
from colo.hypervisor import try_out

if TYPE_CHECKING:
    from pathlib import Path

    from colo.hypervisor import Platform

pytestmark = pytest.mark.anyio
SHARED = "memory-backend-ram,id=shared,size=1M,share=on"


def left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _tried(qemu: Path, disk: Path, memory: Path, **changes: Any) -> Platform:
    return await try_out(counting_vm(qemu, disk, **changes), memory, 5000)


async def test_the_machine_is_told_by_its_versioned_name_with_what_it_is_made_of(
    qemu: Path, disk: Path, memory: Path
) -> None:
    found = await _tried(qemu, disk, memory, machine="q35")
    major, minor, _ = found.qemu_version.split(".")
    assert found.inventory.machine == f"pc-q35-{major}.{minor}"
    assert found.inventory.devices == "virtio-blk-pci virtio-net-pci"
    assert "1.EDX:" in found.inventory.cpuid
    assert "pc.rom:128" in found.inventory.memory.split()
    assert found.accel == "tcg"


async def test_a_trial_leaves_nothing(qemu: Path, disk: Path, memory: Path) -> None:
    await _tried(qemu, disk, memory)
    assert left(memory) == []


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("-device", "virtio-balloon-pci,id=b"), "b (virtio-balloon-pci): it punches holes"),
        (("-device", "virtio-rng-pci,id=r"), "r (virtio-rng-pci): its answers differ"),
        (("-object", SHARED), "shared (memory-backend-ram)"),
        (("-object", SHARED, "-device", "ivshmem-plain,memdev=shared"), "ivshmem"),
        (("-object", SHARED, "-device", "virtio-pmem-pci,memdev=shared"), "virtio-pmem"),
    ],
)
async def test_a_device_that_cannot_be_carried_is_named(
    qemu: Path, disk: Path, memory: Path, extra: tuple[str, ...], named: str
) -> None:
    """As if the configuration had not seen it: QEMU is asked."""
    with pytest.raises(QemuError) as caught:
        await _tried(qemu, disk, memory, extra=extra)
    assert named in caught.value.message
    assert left(memory) == []


async def test_a_disk_that_is_read_past_the_page_cache_is_refused(
    qemu: Path, disk: Path, memory: Path
) -> None:
    drive = f"if=none,id=boot,format=raw,readonly=on,cache=none,file={disk}"
    with pytest.raises(QemuError, match=r"cannot be protected.*straight into guest memory"):
        await _tried(qemu, disk, memory, extra=("-drive", drive, "-device", "virtio-blk-pci,drive=boot"))


async def test_two_versions_agree_on_a_pinned_machine(
    qemus: tuple[Path, ...], disk: Path, memory: Path
) -> None:
    found = [(await _tried(qemu, disk, memory, machine="pc-q35-7.2")).inventory for qemu in qemus]
    assert {inventory.machine for inventory in found} == {"pc-q35-7.2"}
    assert len(set(found)) == 1


async def test_what_differs_in_a_device_differs_in_the_inventory(
    qemu: Path, disk: Path, memory: Path
) -> None:
    small, large = [
        (await _tried(qemu, disk, memory, extra=("-device", f"VGA,romfile=,vgamem_mb={mib}"))).inventory
        for mib in (8, 16)
    ]
    assert small.devices == large.devices
    assert small.memory != large.memory


async def test_features_that_no_checkpoint_carries_are_off_in_any_cpu_model(
    qemu: Path, disk: Path, memory: Path
) -> None:
    words = dict(
        word.rsplit(":", 1) for word in (await _tried(qemu, disk, memory, cpu="max")).inventory.cpuid.split()
    )
    assert not int(words["1.ECX"], 16) & (1 << 30 | 1 << 5)  # RDRAND, VMX
    assert not int(words["7.0.EBX"], 16) & 1 << 18  # RDSEED
    assert not int(words["80000001.ECX"], 16) & 1 << 2  # SVM
    assert not int(words.get("80000007.EDX", "0"), 16) & 1 << 8  # invariant TSC
