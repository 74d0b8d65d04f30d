"""One owner per folder: a lock that the kernel drops with its owner, so a crash never leaves it behind."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colo.errors import AddressInUseError, StateFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK = "lock"


@contextmanager
def hold_folder(folder: Path, hint: str) -> Iterator[None]:
    """Make `folder` (created, 0700) ours for as long as the context lasts.

    AddressInUseError, with `hint`, when another process holds it; StateFolderError when it cannot be made or
    has no room.
    """
    fd = _open(folder)
    try:
        _lock(fd, folder, hint)
        yield
    finally:
        os.close(fd)


def _open(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        raise _unusable(folder, e) from e


def _lock(fd: int, folder: Path, hint: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        owner = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
        raise AddressInUseError(f"process {owner} uses the folder {folder} already", hint) from e
    try:
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    except OSError as e:
        raise _unusable(folder, e) from e


def _unusable(folder: Path, error: OSError) -> StateFolderError:
    hint = (
        "free some space on this file system"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}
        else "choose another folder, or give the user that runs colo the right to write there"
    )
    return StateFolderError(f"cannot use the folder {folder}: {error.strerror}", hint)
