"""The place of an agent: one run folder, one agent, one socket.

A lock on the run folder, which the kernel drops with its owner, tells a live agent from the remains of a dead
one; a socket file alone cannot.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colo.errors import AddressInUseError, StateFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET_NAME = "agent.sock"
LOCK_NAME = "agent.lock"


@contextmanager
def claim_run_dir(run_dir: Path) -> Iterator[socket.socket]:
    """Make `run_dir` (0700) ours for as long as the context lasts; gives the listening socket (0600) in it.

    AddressInUseError: another agent lives there. Take it before anything else of the folder is touched.
    """
    lock = _lock(run_dir)
    try:
        sock = _listen(run_dir / SOCKET_NAME)
        try:
            yield sock
        finally:
            sock.close()
            (run_dir / SOCKET_NAME).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _lock(run_dir: Path) -> int:
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_dir.chmod(0o700)
        fd = os.open(run_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as e:
        hint = "give the user that runs colo the right to write there, or set agent.run_dir"
        raise StateFolderError(f"cannot use the run folder {run_dir}: {e.strerror}", hint) from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        owner = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise AddressInUseError(
            f"another agent (process {owner}) uses the run folder {run_dir}",
            "end it with `colo stop`, or give this VM its own agent.run_dir",
        ) from e
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # the lock is ours, so whoever made it is dead
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(os.fspath(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
        sock.listen(16)
    except OSError as e:
        sock.close()
        hint = "free some space" if e.errno == errno.ENOSPC else "choose a shorter agent.run_dir"
        raise StateFolderError(f"cannot listen on {path}: {e}", hint) from e
    return sock
