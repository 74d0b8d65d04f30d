"""What soak and verify share: the guest with a QEMU of the cache, and the logs kept of a failure."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from bench.__main__ import CACHE
from colo.lab.pair import Guest

if TYPE_CHECKING:
    from collections.abc import Iterator


def guest_on(qemu: str) -> Guest:
    """The demo guest on this QEMU: a version under .cache/qemu, or a path."""
    program = Path(qemu) if "/" in qemu else CACHE / f"qemu/{qemu}/qemu-system-x86_64"
    return Guest(CACHE / "guest/vmlinuz", CACHE / "guest/initramfs", program)


@contextmanager
def folder_of(what: str) -> Iterator[Path]:
    """A folder for one trial. It stays, and the command ends with its name, when that fails."""
    folder = Path(mkdtemp(prefix="colo-bench-"))
    try:
        yield folder
    except Exception as error:
        raise click.ClickException(f"{what}: {error!r}; logs are in {folder}") from error
    shutil.rmtree(folder)
