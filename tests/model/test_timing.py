from __future__ import annotations

import pytest
from attrs import evolve

from colo.model.timing import Timing, problems


def test_the_defaults_fit_each_other() -> None:
    assert problems(Timing()) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"peer_timeout_ms": 299}, "peer_timeout_ms (299) must be at least 3 * heartbeat_ms (300)"),
        ({"stall_timeout_ms": 699}, "stall_timeout_ms (699) must be at least peer_timeout_ms (700)"),
        ({"pause_timeout_ms": 1999}, "pause_timeout_ms (1999) must be at least qmp_timeout_ms"),
        ({"pause_timeout_ms": 5001}, "checkpoint_timeout_ms (5000) must be at least pause_timeout_ms (5001)"),
        ({"checkpoint_timeout_ms": 3999}, "checkpoint_timeout_ms (3999) must be at least 2 * qmp_timeout_ms"),
        (
            {"lease_renew_ms": 901},
            "lease_ttl_ms - clock_margin_ms (1800) must be at least 2 * lease_renew_ms",
        ),
        ({"peer_timeout_ms": 1301}, "must be at least peer_timeout_ms + lease_renew_ms (1801)"),
        ({"lease_renew_ms": 99}, "lease_renew_ms (99) must be at least heartbeat_ms (100)"),
        ({"clock_margin_ms": 19}, "clock_margin_ms (19) must be at least 1 % of lease_ttl_ms (20)"),
        ({"heartbeat_ms": 0}, "heartbeat_ms (0) must be at least 1"),
    ],
)
def test_a_violated_inequality_is_a_sentence_with_its_numbers(change: dict[str, int], says: str) -> None:
    found = problems(evolve(Timing(), **change))
    assert len(found) == 1
    assert says in found[0]


def test_all_violations_are_told_at_once() -> None:
    assert len(problems(Timing(lease_ttl_ms=300, checkpoint_timeout_ms=10))) == 4


def test_the_gate_closes_before_the_lease_ends() -> None:
    assert Timing().gate_ns == 1_800_000_000
