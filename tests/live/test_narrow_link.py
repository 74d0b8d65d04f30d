"""A link between the hosts that is slower than what the guest writes: 200 Mbit/s, 2 ms each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import checkpoints, get

from colo.lab.impairment import Impairment
from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

_NARROW = Impairment(delay_ms=2, rate_mbit=200, offloads=True)
# 47 MiB of noise a second, all over 64 MiB: twice what the link carries, and nothing of it can be left out.
_LOAD = "/patterns?pages=12000&mib=64"


async def test_a_vm_that_writes_faster_than_the_link_carries_is_slowed_down_and_survives_its_host(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(
        tmp_path, lab_guest, Options(link=_NARROW, checkpoint={"period_ms": 20_000}), boot=True
    ) as pair:
        await pair.protected()
        assert (await get(pair, "write", _LOAD, "writing 12000 random pages/s over 64 MiB")).whole
        before = await checkpoints(pair, "memory", 4, 90)
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        verdict = await get(pair, "after", "/patterns/verdict", "intact")
    assert before.checkpoints.phases["slowed"].sum_ms > 0
    assert verdict.whole, verdict.why


async def test_pages_are_compressed_where_the_link_is_the_slower_part(
    tmp_path: Path, lab_guest: Guest
) -> None:
    # Where the link is the faster part is the model's: here that depends on what else the machine has to do.
    async with Pair(tmp_path, lab_guest, Options(link=_NARROW), boot=True) as pair:
        await pair.protected()
        sent = (await pair.status("alpha")).traffic
    share = sent["pages_lz4"] / (sent["pages_lz4"] + sent["pages_raw"])
    # One page of 16 is tried on any link; the guest's initramfs is noise, which stays as it is on any.
    assert share > 1 / 4, share
