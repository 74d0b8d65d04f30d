"""The place of an agent: one run folder, one agent, one socket.

A lock on the run folder, which the kernel drops with its owner, tells a live agent from the remains of a dead
one; a socket file alone cannot.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from colo.errors import StateFolderError
from colo.state import hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET_NAME = "agent.sock"


@contextmanager
def claim_run_dir(run_dir: Path) -> Iterator[socket.socket]:
    """Make `run_dir` (0700) ours for as long as the context lasts; gives the listening socket (0600) in it.

    AddressInUseError: another agent lives there. Take it before anything else of the folder is touched.
    """
    hint = "end that agent with `colo stop`, or give this VM its own agent.run_dir"
    with hold_folder(run_dir, hint):
        sock = _listen(run_dir / SOCKET_NAME)
        try:
            yield sock
        finally:
            sock.close()
            (run_dir / SOCKET_NAME).unlink(missing_ok=True)


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
