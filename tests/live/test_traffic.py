"""Real traffic through a protected guest, checkpoints going on: every byte is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import mib, run

from colo.lab.pair import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from colo.lab.pair import Guest
    from colo.lab.records import Record

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", params=[0, -1], ids=["oldest", "newest"])
async def pair(
    request: pytest.FixtureRequest, lab_guests: tuple[Guest, ...], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """One for all tests of this file."""
    folder: Path = tmp_path_factory.mktemp("traffic")
    async with Pair(folder, lab_guests[request.param], boot=True) as pair:
        await pair.protected()
        yield pair


async def _while_protected(pair: Pair, kind: str, *arguments: str) -> Record:
    before = await pair.status("alpha")
    record = await run(pair, kind, kind, "--count", "1", *arguments)
    after = await pair.status("alpha")
    assert record.whole, record.why
    assert after.state == "protected", after.why
    assert after.checkpoints.total > before.checkpoints.total
    return record


async def test_a_download_is_whole(pair: Pair) -> None:
    record = await _while_protected(pair, "download", "--mib", mib(24))
    assert record.mib == int(mib(24))


async def test_an_upload_is_whole(pair: Pair) -> None:
    record = await _while_protected(pair, "upload", "--mib", mib(24))
    assert record.mib == int(mib(24))


async def test_both_directions_of_one_connection_are_whole(pair: Pair) -> None:
    record = await _while_protected(pair, "bulk", "--down", mib(12), "--up", mib(12))
    assert record.mib == 2 * int(mib(12))


async def test_five_hundred_connections_at_once_are_all_answered_right(pair: Pair) -> None:
    record = await run(pair, "crowd", "crowd", "--connections", "500", "--rounds", "5")
    assert record.whole, record.why
    assert record.answers == 500 * 5
    assert (await pair.status("alpha")).state == "protected"
