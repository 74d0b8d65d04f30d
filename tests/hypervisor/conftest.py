from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from counting import boot_disk, counting_vm

from colo.hypervisor import Hypervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    Start = Callable[..., AbstractAsyncContextManager[Hypervisor]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on tmpfs: run folders in it hold the guest's memory themselves."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def start(disk: Path, memory: Path) -> Start:
    """Start a counting VM; whatever the test does to it, no process is left."""

    @asynccontextmanager
    async def started(
        qemu: Path,
        name: str = "vm",
        machine: str = "q35",
        options: dict[str, Any] | None = None,
        disk: Path = disk,
        more: tuple[str, ...] = (),
        **changes: object,
    ) -> AsyncIterator[Hypervisor]:
        vm = counting_vm(qemu, disk, machine, **changes)
        vm = attrs.evolve(vm, extra=(*vm.extra, *more))
        async with anyio.create_task_group() as tasks:
            hypervisor = await Hypervisor.start(
                vm, memory / name, tasks, **{"timeout_ms": 5000, **(options or {})}
            )
            try:
                yield hypervisor
            finally:
                await hypervisor.kill("the test is over")

    return started
