from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from counting import boot_disk, counting_vm

from colo.hypervisor import Hypervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Start = Callable[..., AbstractAsyncContextManager[Hypervisor]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boot_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def start(disk: Path, tmp_path: Path) -> Start:
    """Start a counting VM; whatever the test does to it, nothing is left."""

    @asynccontextmanager
    async def started(
        qemu: Path,
        name: str = "vm",
        machine: str = "q35",
        options: dict[str, Any] | None = None,
        **changes: object,
    ) -> AsyncIterator[Hypervisor]:
        vm = counting_vm(qemu, disk, machine, **changes)
        async with anyio.create_task_group() as tasks:
            hypervisor = await Hypervisor.start(
                vm, tmp_path / name, tasks, **{"timeout_ms": 5000, **(options or {})}
            )
            try:
                yield hypervisor
            finally:
                await hypervisor.kill("the test is over")

    return started
