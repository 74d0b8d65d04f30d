"""The bad cable is as bad as it says, and the same each time."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.lab.impairment import QUEUE, Impairment, Line, wire_bytes

FRAMES = [number.to_bytes(4, "big") for number in range(QUEUE)]


def _all(impairment: Impairment, number: int = 0, gap_s: float = 0.0001) -> list[bytes]:
    """What comes out of frames that follow each other closely."""
    line, out = Line(impairment, number), []
    for at, frame in enumerate(FRAMES):
        line.put(frame, at * gap_s)
        out += line.take(at * gap_s)
    return out + line.take(1e6)


def test_a_good_cable_keeps_everything_in_order() -> None:
    assert _all(Impairment()) == FRAMES
    assert _all(Impairment(delay_ms=20)) == FRAMES


@given(st.integers(0, 1000))
def test_the_same_seed_is_the_same_cable_and_its_directions_differ(seed: int) -> None:
    impairment = Impairment(loss=0.1, delay_ms=1, reorder=0.1, seed=seed)
    assert _all(impairment) == _all(impairment)
    assert _all(impairment) != _all(impairment, number=1)


@given(st.integers(0, 1000))
def test_it_loses_its_share_and_invents_nothing(seed: int) -> None:
    out = _all(Impairment(loss=0.1, reorder=0.1, delay_ms=5, seed=seed))
    assert sorted(out) == [frame for frame in FRAMES if frame in set(out)]
    assert 0.03 < 1 - len(out) / len(FRAMES) < 0.2


def test_a_frame_that_is_reordered_overtakes_those_on_their_way() -> None:
    out = _all(Impairment(reorder=0.05, delay_ms=5))
    assert sorted(out) == FRAMES
    early = [at for at, frame in enumerate(out) if frame > min(out[at:])]
    assert early


def test_a_frame_waits_its_time() -> None:
    line = Line(Impairment(delay_ms=20), 0)
    line.put(b"frame", 1.0)
    assert line.next_time() == 1.02
    assert line.take(1.0199) == []
    assert line.take(1.02) == [b"frame"]
    assert line.next_time() is None


def test_a_full_cable_loses_what_comes() -> None:
    line = Line(Impairment(delay_ms=20), 0)
    for frame in [*FRAMES, b"one more"]:
        line.put(frame, 0.0)
    assert line.lost == 1
    assert line.take(1.0) == FRAMES


def test_a_rate_lets_one_frame_out_after_the_other() -> None:
    line = Line(Impairment(rate_mbit=8, delay_ms=2), 0)  # a byte takes a microsecond
    for frame in (bytes(976), bytes(1976)):  # and 24 around each
        line.put(frame, 5.0)
    assert line.next_time() == pytest.approx(5.003)
    assert line.take(5.0049) == [bytes(976)]
    assert line.take(5.0051) == [bytes(1976)]
    line.put(bytes(976), 6.0)  # it has been idle
    assert line.next_time() == pytest.approx(6.003)


def test_a_rate_goes_for_each_direction_by_itself() -> None:
    ways = [Line(Impairment(rate_mbit=8), number) for number in range(2)]
    for line in ways:
        line.put(bytes(976), 0.0)
        assert line.next_time() == pytest.approx(0.001)


def test_a_frame_of_many_segments_takes_the_wire_as_long_as_they_would() -> None:
    def frame(size: int, segment: int) -> bytes:
        return struct.pack("<BBHHHHH", 1, 1, 66, segment, 34, 16, 0) + bytes(size)

    assert wire_bytes(frame(1514, 0)) == 1514 + 24
    assert wire_bytes(frame(66 + 1448, 1448)) == 1514 + 24
    assert wire_bytes(frame(66 + 10 * 1448, 1448)) == 10 * (1514 + 24)
    assert wire_bytes(frame(66 + 1449, 1448)) == 1514 + 67 + 2 * 24


@given(st.binary(max_size=100))
def test_any_frame_takes_the_wire_for_some_time(frame: bytes) -> None:
    assert wire_bytes(frame) >= 0
