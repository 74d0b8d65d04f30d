"""Transfers that are under way when the primary's host dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import END_S, mib, under_way

from colo.guest.protocol import MIB
from colo.lab.pair import Pair
from colo.lab.settings import GUEST_ADDRESS6

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]


async def test_a_download_an_upload_and_an_ipv6_connection_outlive_the_primary(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, boot=True) as pair:
        await pair.protected()
        await pair.guest_answers(GUEST_ADDRESS6)
        size = mib(48)
        transfers = [
            pair.client(kind, kind, "--count", "1", "--mib", size) for kind in ("download", "upload")
        ]
        counter = pair.client("counter", "counter", "--interval", "0.01", address=GUEST_ADDRESS6)
        await under_way(counter, 10)
        for transfer in transfers:
            await under_way(transfer, 2 * MIB)
        await pair.status("alpha")
        pair.kill("alpha")
        for transfer in transfers:
            transfer.record.read()
            assert transfer.record.verdict == "", "the transfer was through before the host died"
        await pair.until("beta", "degraded")
        records = [await transfer.ended(END_S) for transfer in transfers]
        before = counter.record.answers
        await under_way(counter, before + 10)
        await counter.finish(60)
    for record in [*records, counter.record]:
        assert record.whole, record.why
    assert [record.mib for record in records] == [int(size), int(size)]
