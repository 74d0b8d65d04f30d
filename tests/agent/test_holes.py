"""A hole punched into guest memory reads as zero, and no tracker reports it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from colo import _core
from colo.agent.local_vm import LocalVm
from colo.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.hypervisor import Hypervisor

PAGES = 64
SIZE = PAGES * _core.PAGE_SIZE


@pytest.fixture
def memory() -> Iterator[int]:
    fd = os.memfd_create("ram")
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


def test_memory_that_was_given_back_ends_the_checkpoint_with_what_to_do(memory: int) -> None:
    ram = _core.GuestRam(memory, SIZE)
    vm = LocalVm(cast("Hypervisor", None), ram, PAGES, "compare", "", blocks=ram.blocks())
    vm.check_holes()
    os.pwrite(memory, bytes(SIZE), 0)  # the VM has touched all of it
    vm.check_holes()
    os.truncate(memory, SIZE // 2)
    os.truncate(memory, SIZE)
    with pytest.raises(CapabilityError, match=f"given back to the host \\({SIZE // 2 // 512} blocks\\)") as e:
        vm.check_holes()
    assert "balloon" in e.value.hint
