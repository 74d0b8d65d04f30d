"""A VM's machine is tried before it is trusted: started, asked, saved and loaded once, ended.

What cannot be carried is found here and not at the first failover. It takes half a second and little memory.
The guest runs for some ms, before it has booted: nobody is connected to its cards, and nothing that it could
write is kept.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import attrs

from colo.config.schema import Backend
from colo.errors import ColoError, QemuError, StateFolderError
from colo.hypervisor.hypervisor import Hypervisor

if TYPE_CHECKING:
    from pathlib import Path

    from colo.config import VmConfig
    from colo.hypervisor.inventory import Inventory
    from colo.hypervisor.probe import QemuProgram

_FOLDER = "trial"
_MEMORY_MIB = 256
"""Enough for firmware; what QEMU itself puts into memory comes on top."""


@attrs.frozen
class Platform:
    """What this host would run the VM with."""

    program: QemuProgram
    accel: str
    inventory: Inventory

    @property
    def qemu_version(self) -> str:
        """As people write it: `7.2.22`."""
        return self.program.version_text


async def try_out(
    vm: VmConfig, run_dir: Path, timeout_ms: int, program: QemuProgram | None = None
) -> Platform:
    """Try the machine of `vm`, in a folder of its own below `run_dir`; `program` as for `Hypervisor.start`.

    Raises `QemuError` with everything that cannot be carried, and what `Hypervisor.start` raises.
    """
    folder = run_dir / _FOLDER
    failure: ColoError | None = None
    tried: Platform | None = None
    async with anyio.create_task_group() as tasks:
        try:
            small = await anyio.to_thread.run_sync(_small, vm, folder)
            hypervisor = await Hypervisor.start(small, folder, tasks, timeout_ms=timeout_ms, program=program)
            try:
                tried = await _ask(hypervisor)
                await _save_and_load(hypervisor)
            finally:
                with anyio.CancelScope(shield=True):
                    await hypervisor.kill("the trial is over")
        except ColoError as error:  # told outside: a task group would wrap it
            failure = error
    await anyio.to_thread.run_sync(shutil.rmtree, folder, True)  # noqa: FBT003 - ignore_errors
    if failure is not None:
        raise failure
    if tried is None:
        raise AssertionError("a trial ends with an answer or an error")
    return tried


async def _ask(hypervisor: Hypervisor) -> Platform:
    if sentences := await hypervisor.objections():
        raise QemuError(
            f"this VM cannot be protected: {'; '.join(sentences)}", "remove these devices from vm.extra"
        )
    return Platform(hypervisor.program, hypervisor.accel, await hypervisor.inventory())


async def _save_and_load(hypervisor: Hypervisor) -> None:
    await hypervisor.boot()
    await hypervisor.begin_save()
    await hypervisor.save()
    state = await hypervisor.read_state()
    await hypervisor.stop_clean()
    await hypervisor.load(state)


def _small(vm: VmConfig, folder: Path) -> VmConfig:
    """The same machine with little memory, and with variables of its own: QEMU locks their file."""
    files = [file for file in (vm.kernel, vm.initrd) if file]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        memory = _MEMORY_MIB + sum(2 * file.stat().st_size for file in files) // (1 << 20)
        variables = vm.firmware_vars and folder / "firmware-vars"
        if vm.firmware_vars and variables:
            shutil.copyfile(vm.firmware_vars, variables)
    except OSError as error:
        raise StateFolderError(f"{error.filename}: {error.strerror}", "see agent.run_dir") from error
    # Taps are made by the agent, and for its own QEMU only: the card is the same without.
    nics = tuple(attrs.evolve(nic, backend=Backend.STREAM) for nic in vm.nic)
    return attrs.evolve(vm, memory_mib=min(vm.memory_mib, memory), firmware_vars=variables, nic=nics)
