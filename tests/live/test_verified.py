"""`[checkpoint] verify`: the secondary's memory is the primary's, every byte; if it is not, it never runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from tampering import cache_of, flip, look, ram_of
from traffic import run

from colo.lab.pair import HOSTS, Options, Pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

_MIB = 96
_SIZE = _MIB << 20
_ENOUGH = 25
_LOOK_S = 0.1


def _verified(**checkpoint: object) -> Options:
    always = {"verify": True, "period_ms": 100, "mode": "lockstep"}
    return Options(vm={"memory_mib": _MIB}, checkpoint=always | checkpoint)


async def _counted(pair: Pair, memory: str, enough: int = _ENOUGH) -> dict[str, int]:
    """What beta has found equal, once it has for this memory that often."""
    with anyio.fail_after(60):
        while (verified := (await pair.status("beta")).checkpoints.verified).get(memory, 0) < enough:
            assert (await pair.status("alpha")).state == "protected"
            await anyio.sleep(_LOOK_S)  # counts are told when asked for
    return verified


async def test_cache_and_copy_are_what_the_primary_was_while_it_writes_and_serves(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, _verified(), boot=True) as pair:
        await pair.protected()
        await _write(pair)
        gets = pair.client("gets", "gets", "--interval", "0.01")
        verified = await _counted(pair, "VM")
        report = await pair.checkpoint()
        await gets.finish(60)
    assert gets.problem is None
    assert abs(verified["cache"] - verified["VM"]) <= 1
    assert report.phases_ms["verify"] > 0


async def test_a_copy_that_rests_has_the_primarys_ram_in_its_cache_and_takes_over_with_it(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, _verified(mode="epoch"), boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--interval", "0.02")
        before = await _counted(pair, "cache")
        pair.kill("alpha")
        after = (await pair.until("beta", "degraded")).checkpoints.verified
        await counter.finish(60)
    assert counter.problem is None
    assert after["VM"] == before["VM"] + 1, "looked at once more before it ran"


@pytest.mark.parametrize(
    ("memory_of", "used", "found"),
    [
        # At the store; a byte changed just after that, in what the VM is loaded from.
        (cache_of, True, ("failed at store: the RAM cache is not", "failed at mend: the VM's RAM is not")),
        (ram_of, False, ("failed at mend: the VM's RAM is not",)),
    ],
    ids=["cache", "copy"],
)
async def test_a_byte_that_changes_unseen_is_found_before_the_copy_runs_and_the_replica_dropped(
    memory_of: Callable[[int, int], int],
    found: tuple[str, ...],
    tmp_path: Path,
    lab_guest: Guest,
    *,
    used: bool,
) -> None:
    async with Pair(tmp_path, lab_guest, _verified(), boot=True) as pair:
        await pair.protected()
        agent = pair.hosts["beta"].agent.pid
        start = memory_of(agent, _SIZE)
        before = look(agent, start, _SIZE)
        await _counted(pair, "VM")
        # Not what the VM writes: a change to that would be found by the next checkpoint's own checksum.
        flip(agent, start, before, used=used)
        await _refused(pair, found)


async def _write(pair: Pair) -> None:
    assert (await run(pair, "write", "gets", "--count", "1", "--path", "/write?pages=4000&mib=16")).whole


async def _refused(pair: Pair, whys: tuple[str, ...]) -> None:
    """The replica is lost, both sides say the same of why, and the VM runs on."""
    await pair.until("alpha", "degraded")
    gone = await pair.until("beta", "idle")
    assert gone.qemu_pid is None
    logs = [pair.hosts[name].agent.log.read_text() for name in HOSTS]
    assert any(all(f"{why} what the primary's RAM was at the cut" in log for log in logs) for why in whys)
    await pair.guest_answers()
