"""Unix sockets in the run folder: we listen before QEMU starts, and QEMU inherits the descriptors."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from colo.errors import QemuError, StateFolderError

if TYPE_CHECKING:
    from pathlib import Path

_BACKLOG = 4
_ONE_SECOND = struct.pack("ll", 1, 0)  # struct timeval


def make_run_dir(run_dir: Path) -> None:
    """Make the folder, 0700: whoever reaches the sockets in it controls the VM."""
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_dir.chmod(0o700)
    except OSError as error:
        raise StateFolderError(f"{run_dir}: {error.strerror}", "see agent.run_dir") from error


def listen(path: Path) -> socket.socket:
    """Listen on a unix stream socket, in place of one that a dead process left. Non-blocking, 0600."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except OSError as error:
        listener.close()
        raise StateFolderError(
            f"{path}: {error.strerror or error}", "see agent.run_dir; its path may be too long"
        ) from error
    return listener


def connect(path: Path) -> socket.socket:
    """Connect to a listening unix stream socket. Non-blocking afterwards.

    The kernel completes this before the other side accepts. Only while QEMU has not noticed yet that an
    earlier connection is gone does it wait, at most one second.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not settimeout(): for a full backlog a non-blocking connect fails at once, see connect(2), EAGAIN.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _ONE_SECOND)
        connected.connect(str(path))
        connected.settimeout(0)
    except OSError as error:
        connected.close()
        raise QemuError(
            f"{path}: {error.strerror or error}", "QEMU does not accept connections there"
        ) from error
    return connected
