"""The guest's own checks (`/check`) go on over a failover, and find what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tampering import ram_of
from traffic import run

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.lab.pair import Guest
    from colo.lab.records import Record

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

_MIB = 96
_SIZE = _MIB << 20
_SMALL = Options(vm={"memory_mib": _MIB})
_NUMBERS = 300
_ENOUGH = 20


async def test_the_checks_go_on_over_a_failover(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, _SMALL, boot=True) as pair:
        await pair.protected()
        assert (await _get(pair, "start", "/check", "checking")).whole
        before = await _verdict(pair, "before")
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        after = await _verdict(pair, "after")
    assert before.whole, before.why
    assert after.whole, after.why


async def test_memory_that_is_damaged_is_a_fault(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, _SMALL, boot=True) as pair:
        await pair.guest_answers()
        assert (await _get(pair, "start", "/check", "checking")).whole
        assert (await _verdict(pair, "before")).whole
        agent = pair.hosts["alpha"].agent.pid
        _damage(agent, ram_of(agent, _SIZE))
        verdict = await _verdict(pair, "after")
    assert "fault: memory: page " in verdict.why


async def _get(pair: Pair, name: str, path: str, expected: str) -> Record:
    return await run(pair, name, "gets", "--count", "1", "--path", path, "--expect", expected)


async def _verdict(pair: Pair, name: str) -> Record:
    return await _get(pair, name, "/check/verdict?rounds=2", "2 rounds: intact")


def _damage(agent: int, start: int) -> None:
    """Changes a bit of some pages that the guest's check has written."""
    with Path(f"/proc/{agent}/mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        content = memory.read(_SIZE)
        found = [at for head in _heads() if (at := content.find(head)) >= 0]
        assert len(found) >= _ENOUGH
        for at in found:
            memory.seek(start + at)
            memory.write(bytes([content[at] ^ 1]))


def _heads() -> Iterator[bytes]:
    """How pages that were written lately begin: see crates/guest/src/patterns.rs."""
    for number in range(1, _NUMBERS):
        first = _noise(_noise(number))
        yield b"".join(word.to_bytes(8, "little") for word in (first, _noise(first)))


def _noise(value: int) -> int:
    value ^= value << 13 & 0xFFFF_FFFF_FFFF_FFFF
    value ^= value >> 7
    return value ^ (value << 17 & 0xFFFF_FFFF_FFFF_FFFF)
