"""How far a protection is, and what the last checkpoint took, in words."""

from __future__ import annotations

import pytest

from colo.api.service import Progress
from colo.cli.protect import on_the_link
from colo.cli.status import last_sent

_MIB = 1 << 20


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Progress("connect"), ""),
        (Progress("pre-copy", "", 1, 0, 64 * _MIB), ""),
        (
            Progress("pre-copy", "", 1, 32 * _MIB, 128 * _MIB, 16 * _MIB, 2 * _MIB),
            "16.0 MiB sent, 2.0 MiB/s, 0:24 left",
        ),
        (Progress("pre-copy", "", 2, 0, 128 * _MIB, 0, 2 * _MIB), "0.0 MiB sent, 2.0 MiB/s"),
        (
            Progress("pre-copy", "", 9, 64 * _MIB, 64 * _MIB, 60 * _MIB, _MIB, 0.5),
            "60.0 MiB sent, 1.0 MiB/s, 0:00 left, VM stopped for 50%",
        ),
    ],
)
def test_what_the_link_carries_is_told_with_the_time_that_is_left(step: Progress, words: str) -> None:
    assert on_the_link(step) == words


def test_the_last_checkpoint_is_told_before_and_after_encoding() -> None:
    counts = {"zero": 0, "equal": 8, "delta": 33, "bytes_before": 464 << 10, "bytes_sent": 5 << 10}
    assert last_sent(counts) == "464 KiB as 5 KiB: 8 equal, 33 delta"
    assert last_sent({}) is None
