"""The laboratory needs root (or a user namespace) and a QEMU; the versions take turns."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from colo.lab.pair import Guest

if TYPE_CHECKING:
    from pathlib import Path

    from colo.guest import GuestImage

_TURN = count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lab_guest(qemus: tuple[Path, ...], guest: GuestImage) -> Guest:
    return Guest(guest.kernel, guest.initramfs, qemus[next(_TURN) % len(qemus)])
