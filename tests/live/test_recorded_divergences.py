"""What an operator can learn about a divergence of a real guest."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest
from scapy.layers.inet import TCP
from scapy.utils import PcapNgReader

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.api.client import AgentClient
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

_CAPTURED_S = 60.0
_SERVICE = "tcp 10.77.0.2:80 >"


def _streams(folder: Path) -> dict[str, bytes]:
    """TCP payload of each source, over all files."""
    found = {"pvm": b"", "svm": b"", "uplink": b""}
    for file in sorted(folder.glob("*.pcapng")):
        with PcapNgReader(str(file)) as reader:
            for packet in reader:
                if TCP in packet:
                    source = packet.sniffed_on
                    name = source.decode() if isinstance(source, bytes) else source
                    found[name] += bytes(packet[TCP].payload)
    return found


async def _until_captured(client: AgentClient) -> None:
    """A file with the frames around two streams that differ."""
    async with aclosing(client.events()) as events:
        async for event in events:
            if event.kind == "capture" and ": stream " in event.why:
                return
    raise AssertionError("the agent ended")


async def test_a_differing_answer_is_on_record_and_in_a_file(tmp_path: Path, lab_guest: Guest) -> None:
    folder = tmp_path / "captures"
    options = Options(checkpoint={"period_ms": 0}, flags=(f"--capture={folder}",))
    async with Pair(tmp_path, lab_guest, options, boot=True) as pair:
        await pair.protected()
        async with pair.agent("alpha") as client:
            gets = pair.client("random", "gets", "--count", "3", "--path", "/random", "--any-body")
            with anyio.fail_after(_CAPTURED_S):
                await _until_captured(client)
            await gets.ended(60.0)
            found = await client.divergences()
        status = await pair.status("alpha")
    assert sum(found.by_kind.values()) == len(found.last)
    assert status.divergences == found.by_kind
    streams = _streams(folder)
    assert b"GET /random" in streams["uplink"]
    differing = [one for one in found.last if one.kind == "stream" and one.flow.startswith(_SERVICE)]
    assert differing
    assert all(one.primary != one.secondary for one in differing)
    explained = [
        one
        for one in differing
        if bytes.fromhex(one.primary) in streams["pvm"] and bytes.fromhex(one.secondary) in streams["svm"]
    ]
    assert explained
