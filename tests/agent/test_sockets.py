"""Listening for the peer, and reaching it."""

from __future__ import annotations

import os
import socket

import anyio
import pytest

from colo.agent.sockets import connect, connections, listen
from colo.config import Address
from colo.errors import AddressInUseError, ConfigError, PeerUnreachableError

pytestmark = pytest.mark.anyio


async def test_a_connection_arrives_as_a_descriptor() -> None:
    listener = listen(Address("127.0.0.1", 0))
    with listener:
        port = listener.getsockname()[1]
        near = await connect(Address("127.0.0.1", port), 5.0)
        accepted = connections(listener)
        with anyio.fail_after(5):
            far = await anext(accepted)
        os.write(near, b"x")
        with socket.socket(fileno=far) as theirs:
            theirs.settimeout(5)
            assert theirs.recv(1) == b"x"
        os.close(near)
        await accepted.aclose()  # type: ignore[attr-defined]


async def test_a_taken_port_is_named() -> None:
    with listen(Address("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(AddressInUseError, match=f"127.0.0.1:{port}"):
            listen(Address("127.0.0.1", port))


async def test_an_address_of_another_host_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        listen(Address("192.0.2.1", 7700))


async def test_a_peer_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(PeerUnreachableError, match=str(port)):
        await connect(Address("127.0.0.1", port), 5.0)
