"""A card with offloads: 64 KiB segments with unfinished checksums, compared, released, and taken over."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from colo.lab.pair import Options, Pair
from colo.lab.records import Record, WatchedClient

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

LOCKSTEP = Options(backend="tap", checkpoint={"period_ms": 0})
_LOOK_S = 0.02
_MIB = 1 << 20


async def _run(pair: Pair, kind: str, *arguments: str) -> Record:
    process = pair.client(f"{kind}{len(arguments)}", kind, *arguments)
    await anyio.to_thread.run_sync(process.wait, 90.0)
    record = Record(process.log)
    record.read()
    return record


async def test_gets_are_answered_in_lockstep_and_what_differs_after_a_checkpoint(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP) as pair:
        await pair.protected()
        await _run(pair, "gets", "--count", "5")
        await pair.checkpoint()
        before = await pair.status("alpha")
        record = await _run(pair, "gets", "--count", "50", "--interval", "0")
        after = await pair.status("alpha")
        differing = await _run(pair, "gets", "--count", "3", "--path", "/random", "--any-body")
        status = await pair.status("alpha")
    assert record.whole
    assert after.traffic["released_agreed"] - before.traffic["released_agreed"] >= 150
    assert after.traffic["divergences"] == before.traffic["divergences"]
    assert differing.whole
    assert status.checkpoints.by_reason["mismatch"] >= 1
    assert status.traffic["bad_headers"] == 0


async def test_a_download_is_whole_and_was_not_cut_by_the_guest(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, Options(backend="tap")) as pair:
        await pair.protected()
        before = (await pair.status("alpha")).traffic["vm_frames"]
        record = await _run(pair, "download", "--count", "2", "--mib", "64")
        frames = (await pair.status("alpha")).traffic["vm_frames"] - before
    assert record.whole, record.why
    assert 128 * _MIB / frames > 2 * 1448, "the guest hands over more than one segment at once"


async def _under_way(download: WatchedClient) -> None:
    """24 MiB of it have come."""
    with anyio.fail_after(60):
        for _ in count():
            if download.process.log.read_bytes().count(b"progress") >= 24:
                return
            await anyio.sleep(_LOOK_S)  # the client's own time


@pytest.mark.parametrize("victim", ["alpha", "beta"])
async def test_a_download_outlives_the_loss_of_a_host(tmp_path: Path, lab_guest: Guest, victim: str) -> None:
    survivor = {"alpha": "beta", "beta": "alpha"}[victim]
    async with Pair(tmp_path, lab_guest, Options(backend="tap")) as pair:
        await pair.protected()
        counter = WatchedClient("counter", pair.client("counter", "counter", "--interval", "0.01"))
        download = WatchedClient(
            "download", pair.client("download", "download", "--count", "1", "--mib", "192")
        )
        await _under_way(download)
        assert download.process.ended() is None, "it is still under way"
        pair.kill(victim)
        await pair.until(survivor, "degraded")
        await anyio.to_thread.run_sync(download.process.wait, 90.0)
        await counter.finish(60)
        download.record.read()
    assert download.record.whole, download.record.why
    assert counter.record.whole, counter.record.why
