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


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Of all tests here: pairs that last for a file need one that does, too."""
    return "asyncio"


@pytest.fixture(scope="session")
def lab_guests(qemus: tuple[Path, ...], guest: GuestImage) -> tuple[Guest, ...]:
    """One for each QEMU, the oldest first."""
    return tuple(Guest(guest.kernel, guest.initramfs, qemu) for qemu in qemus)


@pytest.fixture
def lab_guest(lab_guests: tuple[Guest, ...]) -> Guest:
    return lab_guests[next(_TURN) % len(lab_guests)]
