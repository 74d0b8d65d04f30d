"""A guest that writes faster than the link carries is protected all the same, and nothing of it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import checkpoints, get

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.api.service import Progress
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

# 47 MiB a second over 64 MiB, behind 20 MiB a second: each round leaves more than can be sent in 2 s.
_LOAD = "/patterns?pages=12000&mib=64"
# In a period it writes nearly all of 128 MiB, and a checkpoint holds 96. A writer that was kept waiting
# catches up with a second's worth at once: that has room in the other half.
_LARGE = "/patterns?pages=6000&mib=128"
_SMALL = Options(checkpoint={"max_staging_mib": 96, "period_ms": 20_000})
_OFTEN = Options(checkpoint={"period_ms": 3_600_000, "period_mib": 16})
_NARROW = Options(
    checkpoint={"precopy_max_mib_s": 20, "period_ms": 100}, timing={"checkpoint_timeout_ms": 4000}
)


async def test_a_writer_that_never_converges_is_slowed_down_protected_and_survives_its_host(
    tmp_path: Path, lab_guest: Guest
) -> None:
    steps: list[Progress] = []
    async with Pair(tmp_path, lab_guest, _NARROW, boot=True) as pair:
        await pair.guest_answers()
        assert (await get(pair, "write", _LOAD, "writing 12000 random pages/s over 64 MiB")).whole
        steps = [step async for step in pair.protect("alpha")]
        assert (await get(pair, "before", "/patterns/verdict", "intact")).whole
        before = await pair.status("alpha")
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        verdict = await get(pair, "after", "/patterns/verdict", "intact")
    assert steps[-1].phase == "protected"
    assert max(step.stopped for step in steps) > 0.0
    rounds = {step.round: step for step in steps if step.phase == "pre-copy"}
    assert len(rounds) > 3
    assert all(step.sent_bytes > 0 for step in rounds.values())
    assert before.state == "protected"
    assert verdict.whole, verdict.why


async def test_a_vm_that_writes_more_than_a_checkpoint_holds_keeps_its_protection(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, _SMALL, boot=True) as pair:
        await pair.protected()
        assert (await get(pair, "write", _LARGE, "writing 6000 random pages/s over 128 MiB")).whole
        before = await checkpoints(pair, "memory", 3, 60)
        assert before.state == "protected", before.why
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        verdict = await get(pair, "after", "/patterns/verdict", "intact")
    assert verdict.whole, verdict.why


async def test_a_vm_that_writes_much_has_checkpoints_before_the_period_is_over(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, _OFTEN, boot=True) as pair:
        await pair.protected()
        assert (await get(pair, "write", _LARGE, "writing 6000 random pages/s over 128 MiB")).whole
        now = await checkpoints(pair, "period", 3, 60)
    assert "memory" not in now.checkpoints.by_reason
