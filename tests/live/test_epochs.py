"""Epochs: the copy rests, answers go with the commit, and nobody notices the loss of a host all the same."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio
import pytest
from traffic import more_answers

from colo.lab.pair import HOSTS, Options, Pair
from colo.lab.trial import Moment, Side, Trial, carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from colo.api.service import Status
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

EPOCHS = Options(checkpoint={"mode": "epoch"})
_LOOK_S = 0.05
_CHANGE_S = 60.0

TRIALS = (
    Trial(signal.SIGKILL, Moment.LOAD, Side.PRIMARY),
    Trial(signal.SIGSTOP, Moment.LOAD, Side.PRIMARY),
    Trial(signal.SIGKILL, Moment.CHECKPOINT, Side.PRIMARY),
    Trial(signal.SIGSTOP, Moment.CHECKPOINT, Side.PRIMARY),
    Trial(signal.SIGKILL, Moment.LOAD, Side.SECONDARY),
)


@pytest.mark.parametrize("trial", TRIALS, ids=str)
async def test_no_client_notices_the_loss_of_a_host_in_epochs(
    trial: Trial, tmp_path: Path, lab_guest: Guest
) -> None:
    outcome = await carry_out(trial, tmp_path, lab_guest, EPOCHS)
    assert outcome.problems == ()
    assert outcome.answers > 0


async def test_in_epochs_answers_that_differ_need_no_agreement_and_the_copy_rests(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, EPOCHS, boot=True) as pair:
        await pair.protected()
        before = await _in_mode(pair, "epoch")
        gets = pair.client("random", "gets", "--path", "/random", "--any-body")
        await more_answers(gets, 20)
        after, resting = await pair.status("alpha"), await pair.status("beta")
        await gets.finish(60)
    assert gets.problem is None
    assert (resting.mode, resting.step) == ("epoch", "resting") or resting.step == "storing"
    assert after.traffic["released_commit"] > before.traffic["released_commit"]
    assert after.traffic["released_agreed"] == before.traffic["released_agreed"]
    assert after.checkpoints.by_reason.get("mismatch", 0) == before.checkpoints.by_reason.get("mismatch", 0)
    assert after.checkpoints.by_reason["output"] > 0


async def test_copies_that_differ_go_to_epochs_and_come_back_when_they_agree(
    tmp_path: Path, lab_guest: Guest
) -> None:
    options = Options(checkpoint={"period_ms": 0, "trial_s": 1, "forced_percent": 20})
    async with Pair(tmp_path, lab_guest, options, boot=True) as pair:
        await pair.protected()
        gets = pair.client("random", "gets", "--path", "/random", "--any-body")
        await _in_mode(pair, "epoch")
        async with pair.agent("alpha") as client:
            told = await client.why()
        await gets.finish(60)
        await _in_mode(pair, "lockstep")
        counter = pair.client("counter", "counter", "--interval", "0.02")
        await more_answers(counter, 20)
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        await more_answers(counter, 20)
        await counter.finish(60)
    assert (gets.problem, counter.problem) == (None, None)
    assert told.mode == "epoch"
    assert "lock-step" in told.why
    assert told.changes >= 1


async def _in_mode(pair: Pair, mode: str) -> Status:
    """On both sides, on the primary for good."""
    with anyio.fail_after(_CHANGE_S):
        while True:
            statuses = [await pair.status(name) for name in HOSTS]
            if all(status.mode == mode for status in statuses):
                return statuses[0]
            await anyio.sleep(_LOOK_S)  # an agent tells its mode only when it is asked
