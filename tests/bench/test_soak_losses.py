"""What `make soak` takes away, and in which order."""

from __future__ import annotations

from itertools import islice

from bench.soak import losses

from colo.lab.trial import Moment, Side, all_trials


def test_one_loss_in_five_is_a_secondarys() -> None:
    first = list(islice(losses(), 20))
    assert [trial.side for trial in first[:5]] == [Side.PRIMARY] * 4 + [Side.SECONDARY]
    assert sum(trial.side is Side.SECONDARY for trial in first) == 4


def test_every_loss_under_load_comes_within_twenty() -> None:
    under_load = {trial for trial in all_trials() if trial.moment is not Moment.IDLE}
    assert set(islice(losses(), 20)) == under_load
