"""The laboratory needs root (or a user namespace) and a QEMU; the versions take turns."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from colo.lab.pair import Guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.guest import GuestImage

_TURNS = cycle(("7.2", "10.0"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lab_guest(cache: Path, guest: GuestImage) -> Iterator[Guest]:
    return Guest(guest.kernel, guest.initramfs, cache / "qemu" / next(_TURNS) / "qemu-system-x86_64")
