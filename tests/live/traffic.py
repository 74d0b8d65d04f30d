"""Clients of a protected guest, run to their verdict."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

from colo.lab.settings import GUEST_ADDRESS

if TYPE_CHECKING:
    from colo.api.service import Status
    from colo.lab.pair import Pair
    from colo.lab.records import Record, WatchedClient

END_S = 170.0
_ANSWERS_S = 60.0
_LOOK_S = 0.02
_COUNT_S = 0.1


def mib(usual: int) -> str:
    """The size of a transfer: COLO_LIVE_MIB for all of them, or what is usual."""
    return os.environ.get("COLO_LIVE_MIB") or str(usual)


async def run(
    pair: Pair,
    name: str,
    kind: str,
    *arguments: str,
    address: str = GUEST_ADDRESS,
    seconds: float = END_S,
) -> Record:
    return await pair.client(name, kind, *arguments, address=address).ended(seconds)


async def get(pair: Pair, name: str, path: str, expected: str) -> Record:
    """One page, which says that."""
    return await run(pair, name, "gets", "--count", "1", "--path", path, "--expect", expected)


async def checkpoints(pair: Pair, reason: str, count: int, seconds: float) -> Status:
    """Until alpha, protected all the time, has had so many for this reason."""
    with anyio.fail_after(seconds):
        while (now := await pair.status("alpha")).checkpoints.by_reason.get(reason, 0) < count:
            assert now.state == "protected", now.why
            await anyio.sleep(_COUNT_S)  # a count has to be asked for
    return now


async def more_answers(client: WatchedClient, count: int = 20) -> None:
    """Until it has got so many more."""
    client.record.read()
    await under_way(client, client.record.answers + count, _ANSWERS_S)


async def under_way(client: WatchedClient, amount: int, seconds: float = END_S) -> None:
    """Until a transfer has come so many bytes far, or a client has got so many answers."""
    with anyio.fail_after(seconds):
        while True:
            client.record.read()
            assert client.record.verdict == "", f"{client.name} is through: {client.record.why}"
            if max(client.record.so_far, client.record.answers) >= amount:
                return
            await anyio.sleep(_LOOK_S)  # the client's own time
