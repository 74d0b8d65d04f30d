"""{SIGKILL, SIGSTOP} x {idle, load, checkpoint} x {primary, secondary}: no client notices, ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.lab.trial import Trial, all_trials, carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]


@pytest.mark.parametrize("trial", all_trials(), ids=str)
async def test_no_client_notices_the_loss_of_a_host(trial: Trial, tmp_path: Path, lab_guest: Guest) -> None:
    outcome = await carry_out(trial, tmp_path, lab_guest)
    assert outcome.problems == ()
    assert outcome.answers > 0
