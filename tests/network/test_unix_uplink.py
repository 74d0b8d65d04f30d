from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import anyio
import pytest

from colo.errors import AddressInUseError, CapabilityError
from colo.network import UplinkListener, connect_uplink

if TYPE_CHECKING:
    import socket
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_both_ends_are_connected_and_non_blocking(tmp_path: Path) -> None:
    listener = UplinkListener.bind(tmp_path / "up")
    ours = await connect_uplink(tmp_path / "up")
    theirs = await listener.accept()
    assert not ours.getblocking()
    assert not theirs.getblocking()
    ours.send(b"frame")
    await anyio.wait_readable(theirs)
    assert theirs.recv(10) == b"frame"
    for sock in (ours, theirs, listener):
        sock.close()
    assert not (tmp_path / "up").exists()


async def test_the_agent_waits_for_a_switch_that_starts_later(tmp_path: Path) -> None:
    connected: list[socket.socket] = []

    async def connect() -> None:
        connected.append(await connect_uplink(tmp_path / "up"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connect)
        await anyio.wait_all_tasks_blocked()
        listener = UplinkListener.bind(tmp_path / "up")
    connected[0].close()
    listener.close()


async def test_nobody_listening_is_told_after_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="nobody listens"):
        await connect_uplink(tmp_path / "up", deadline_s=0.1)


async def test_a_path_that_is_too_long_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="too long"):
        await connect_uplink(tmp_path / ("x" * 200))


async def test_the_socket_is_private_and_never_stolen(tmp_path: Path) -> None:
    listener = UplinkListener.bind(tmp_path / "up")
    assert stat.S_IMODE((tmp_path / "up").stat().st_mode) == 0o600
    with pytest.raises(AddressInUseError):
        UplinkListener.bind(tmp_path / "up")
    listener.close()


async def test_accept_has_a_deadline(tmp_path: Path) -> None:
    listener = UplinkListener.bind(tmp_path / "up")
    with pytest.raises(TimeoutError):
        await listener.accept(deadline_s=0.05)
    listener.close()
