"""An uplink that is a unix stream socket: frames with a 4-byte big-endian length, as `-netdev stream` has.

For tests and for switches in user space: no right is needed.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Self

import anyio
from attrs import frozen

from colo.errors import AddressInUseError, CapabilityError

if TYPE_CHECKING:
    from pathlib import Path

_RETRY_S = 0.05


async def connect_uplink(path: Path, deadline_s: float = 5.0) -> socket.socket:
    """A connected, non-blocking socket. Whoever listens may come up to `deadline_s` seconds later."""
    why: OSError | None = None
    with anyio.move_on_after(deadline_s):
        while True:
            try:
                return _connect(path)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as e:
                why = e
            except OSError as e:
                raise _unusable(path, e) from e
            await anyio.sleep(_RETRY_S)
    raise CapabilityError(
        f"nobody listens on the uplink {path} ({why and why.strerror}; waited {deadline_s:g} s)",
        "start the switch that owns this socket",
    )


def _connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(0)  # a unix connect either succeeds or fails at once
    try:
        sock.connect(os.fspath(path))
    except BaseException:
        sock.close()
        raise
    return sock


@frozen
class UplinkListener:
    """The other end: takes the agent's connection, again and again if the agent comes back."""

    path: Path
    sock: socket.socket

    @classmethod
    def bind(cls, path: Path) -> Self:
        """Listen on `path` (0600). A socket that is there already is not removed: it may be someone's."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(os.fspath(path))
            path.chmod(0o600)
            sock.listen(1)
        except OSError as e:
            sock.close()
            if path.exists():
                raise AddressInUseError(f"{path} exists already", "remove it if nobody uses it") from e
            raise _unusable(path, e) from e
        sock.settimeout(0)
        return cls(path, sock)

    async def accept(self, deadline_s: float = 5.0) -> socket.socket:
        """The next connection (non-blocking); TimeoutError when none comes in time."""
        with anyio.fail_after(deadline_s):
            await anyio.wait_readable(self.sock)
        connection, _ = self.sock.accept()
        connection.settimeout(0)
        return connection

    def close(self) -> None:
        """Stop listening and remove the socket's name."""
        self.sock.close()
        self.path.unlink(missing_ok=True)


def _unusable(path: Path, error: OSError) -> CapabilityError:
    return CapabilityError(f"cannot use {path} as an uplink: {error}", "check the folder and its rights")
