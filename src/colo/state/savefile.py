"""One small file, replaced as a whole or not at all.

The order is: temporary file in the same folder (0600), write, fsync, rename over the old file, fsync of the
folder.

What it survives: the death of this process at any instruction, and the crash or power loss of the host at any
instruction, provided that the disk honours a flush. `load` then gives the old content or the new one, never a
mixture and never an empty file. Once `save` has returned, it gives the new one.

When `save` raises, the content is the old one, except when the very last step failed (fsync of the folder):
then the new content is in place but may be gone after a power loss. Callers have to treat the change as not
made, and must be able to live with finding it made.

One writer per file at a time: the temporary name is fixed, so that crashes leave at most one left-over.
Source: rename(2), fsync(2) ("calling fsync does not ensure that the directory entry has reached the disk").
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from colo.errors import StateFolderError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20

_HINTS = {
    errno.ENOSPC: "free some space on this file system; nothing was changed",
    errno.EDQUOT: "the disk quota of this user is used up; nothing was changed",
    errno.EACCES: "give the user that runs colo the right to write to this folder",
    errno.EPERM: "give the user that runs colo the right to write to this folder",
    errno.EROFS: "the file system is mounted read-only; choose another folder or remount it",
    errno.ENOENT: "create the folder (0700) first",
    errno.ENOTDIR: "a part of this path is a file; choose another folder",
    errno.EIO: "the disk reports errors: look at dmesg before going on",
}


def save(path: Path, data: bytes) -> None:
    """Replace the content of `path` by `data` (at most 1 MiB), durably. StateFolderError: why not."""
    if len(data) > MAX_BYTES:
        raise StateFolderError(f"{path}: {len(data)} bytes are more than a state file may have ({MAX_BYTES})")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        _write_new(temporary, data)
        os.rename(temporary, path)  # noqa: PTH104 - the steps stay system calls, one by one
        _fsync_folder(path.parent)
    except OSError as e:
        _discard(temporary)
        raise _folder_error("save", path, e) from e


def load(path: Path) -> bytes | None:
    """The content that was saved last, or None when nothing ever was."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise _folder_error("read", path, e) from e
    if len(data) > MAX_BYTES:
        raise StateFolderError(
            f"{path} is larger than {MAX_BYTES} bytes: this file is not ours", "move it away"
        )
    return data


def _write_new(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # a left-over of a crash; O_EXCL then makes mode and owner certain
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _discard(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return  # the reason for being here is reported; the next save removes the left-over


def _folder_error(verb: str, path: Path, error: OSError) -> StateFolderError:
    hint = _HINTS.get(error.errno or 0, "check the folder of this file")
    return StateFolderError(f"cannot {verb} {path}: {error.strerror or error}", hint)
