"""Clients of a protected guest, run to their verdict."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from colo.lab.records import WatchedClient
from colo.lab.settings import GUEST_ADDRESS

if TYPE_CHECKING:
    from colo.lab.pair import Pair
    from colo.lab.records import Record

_END_S = 170.0
_LOOK_S = 0.02


def mib(usual: int) -> str:
    """The size of a transfer: COLO_LIVE_MIB for all of them, or what is usual."""
    return os.environ.get("COLO_LIVE_MIB") or str(usual)


def start(pair: Pair, name: str, kind: str, *arguments: str, address: str = GUEST_ADDRESS) -> WatchedClient:
    return WatchedClient(name, pair.client(name, kind, *arguments, address=address))


async def ended(client: WatchedClient) -> Record:
    """Its record, once it has ended by itself."""
    await anyio.to_thread.run_sync(client.process.wait, _END_S)
    client.record.read()
    return client.record


async def run(pair: Pair, name: str, kind: str, *arguments: str, address: str = GUEST_ADDRESS) -> Record:
    return await ended(start(pair, name, kind, *arguments, address=address))


async def under_way(client: WatchedClient, amount: int) -> None:
    """Until a transfer has come so many bytes far, or a client has got so many answers."""
    with anyio.fail_after(_END_S):
        while True:
            client.record.read()
            assert client.record.verdict == "", f"{client.name} is through: {client.record.why}"
            if max(client.record.so_far, client.record.answers) >= amount:
                return
            await anyio.sleep(_LOOK_S)  # the client's own time
