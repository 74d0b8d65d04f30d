"""A network that loses, delays and reorders, and one that attacks."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from traffic import END_S, run

from colo.lab.netem import Netem
from colo.lab.pair import HOSTS, Options, Pair
from colo.lab.settings import GUEST_MAC

if TYPE_CHECKING:
    from colo.guest import GuestImage
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

_BAD = ("loss", "1%", "delay", "20ms", "reorder", "2%")
_DELAY_S = 0.02
_CARRIED = 1000  # frames, at least: 3 MiB each way
_MIB = 1 << 20
_FLOOD_MAY_COST = 256 * _MIB


async def test_transfers_over_a_netem_that_loses_delays_and_reorders_are_whole(
    tmp_path: Path, lab_guest: Guest, netem_image: GuestImage
) -> None:
    cable = Netem(lab_guest.qemu, netem_image, _BAD)
    async with Pair(tmp_path, lab_guest, Options(cable=cable), boot=True) as pair:
        await pair.protected()
        clients = [
            pair.client("download", "download", "--count", "1", "--mib", "3"),
            pair.client("upload", "upload", "--count", "1", "--mib", "3"),
            pair.client("counter", "counter", "--count", "60"),
        ]
        records = [await client.ended(END_S) for client in clients]
        status = await pair.status("alpha")
    assert [record.why for record in records if not record.whole] == []
    assert status.state == "protected", status.why
    (said,) = pair.network.said
    ways = [json.loads(line) for line in said.splitlines()]
    assert len(ways) == 2
    for way in ways:
        assert way[0]["options"]["delay"]["delay"] == _DELAY_S
        assert way[0]["packets"] > _CARRIED
        assert way[0]["drops"] > 0


def _resident(pid: int) -> int:
    """Bytes of memory that a process has (proc(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_after_a_flood_of_syns_the_service_works_in_lockstep_and_no_memory_is_lost(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, Options(checkpoint={"period_ms": 0}), boot=True) as pair:
        await pair.protected()
        await run(pair, "first", "gets", "--count", "5")
        before = {name: _resident(pair.hosts[name].agent.pid) for name in HOSTS}
        flood = await run(pair, "flood", "flood", "--mac", GUEST_MAC, "--count", "30000")
        assert flood.whole, flood.why
        for name in HOSTS:
            assert _resident(pair.hosts[name].agent.pid) - before[name] < _FLOOD_MAY_COST
        status = await pair.status("alpha")
        assert status.state == "protected", status.why
        with anyio.fail_after(60):
            tries = count()
            while not await _agreed(pair, next(tries)):
                pass  # while there is no room for new connections, each costs a checkpoint


async def _agreed(pair: Pair, number: int) -> bool:
    """A few answers, all right; whether they needed no checkpoint."""
    before = (await pair.status("alpha")).epoch
    record = await run(pair, f"gets{number}", "gets", "--count", "10")
    assert record.whole, record.why
    return (await pair.status("alpha")).epoch == before
