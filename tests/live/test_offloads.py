"""A card with offloads: 64 KiB segments with unfinished checksums, compared, released, and taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import END_S, run, under_way

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

LOCKSTEP = Options(backend="tap", checkpoint={"period_ms": 0})
_MIB = 1 << 20


async def test_gets_are_answered_in_lockstep_and_what_differs_after_a_checkpoint(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP, boot=True) as pair:
        await pair.protected()
        await run(pair, "settle", "gets", "--count", "5")
        await pair.checkpoint()
        before = await pair.status("alpha")
        record = await run(pair, "gets", "gets", "--count", "50", "--interval", "0")
        after = await pair.status("alpha")
        differing = await run(pair, "random", "gets", "--count", "3", "--path", "/random", "--any-body")
        status = await pair.status("alpha")
    assert record.whole
    assert after.traffic["released_agreed"] - before.traffic["released_agreed"] >= 150
    assert after.traffic["divergences"] == before.traffic["divergences"]
    assert differing.whole
    assert status.checkpoints.by_reason["mismatch"] >= 1
    assert status.traffic["bad_headers"] == 0


async def test_a_download_is_whole_and_was_not_cut_by_the_guest(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, Options(backend="tap"), boot=True) as pair:
        await pair.protected()
        before = (await pair.status("alpha")).traffic["vm_frames"]
        record = await run(pair, "download", "download", "--count", "2", "--mib", "64")
        frames = (await pair.status("alpha")).traffic["vm_frames"] - before
    assert record.whole, record.why
    assert 128 * _MIB / frames > 2 * 1448, "the guest hands over more than one segment at once"


@pytest.mark.parametrize("victim", ["alpha", "beta"])
async def test_a_download_outlives_the_loss_of_a_host(tmp_path: Path, lab_guest: Guest, victim: str) -> None:
    survivor = {"alpha": "beta", "beta": "alpha"}[victim]
    async with Pair(tmp_path, lab_guest, Options(backend="tap"), boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--interval", "0.01")
        download = pair.client("download", "download", "--count", "1", "--mib", "192")
        await under_way(download, 24 * _MIB)
        pair.kill(victim)
        await pair.until(survivor, "degraded")
        await download.ended(END_S)
        await counter.finish(60)
    assert download.record.whole, download.record.why
    assert counter.record.whole, counter.record.why
