"""TCP connections between the agents: made here, then handed to the relay thread, which speaks TLS."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import anyio

from colo.errors import AddressInUseError, ConfigError, PeerUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from colo.config import Address

_BACKLOG = 4


def listen(address: Address) -> socket.socket:
    """A listening socket. AddressInUseError: the port is taken; ConfigError: the address is not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.settimeout(0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"cannot listen on {address}: the port is taken",
                "is an agent running already? else change agent.listen",
            ) from error
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror}", "agent.listen must be an address of this host"
        ) from error
    return listener


async def connections(listener: socket.socket) -> AsyncIterator[int]:
    """Descriptors of accepted connections; the receiver closes them."""
    while True:
        await anyio.wait_readable(listener)
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE}:
                continue
            raise
        yield connection.detach()


async def connect(address: Address, deadline_s: float) -> int:
    """The descriptor of a connection to the peer, or PeerUnreachableError."""
    hint = "is `colo agent` running there? is the port open? see agent.peer"
    try:
        with anyio.fail_after(deadline_s):
            stream = await anyio.connect_tcp(address.host, address.port)
    except TimeoutError as error:
        raise PeerUnreachableError(
            f"the peer {address} does not answer within {deadline_s:g} s", hint
        ) from error
    except OSError as error:
        raise PeerUnreachableError(f"the peer {address} cannot be reached: {error}", hint) from error
    async with stream:
        raw = stream.extra_attributes[anyio.abc.SocketAttribute.raw_socket]()
        return os.dup(raw.fileno())
