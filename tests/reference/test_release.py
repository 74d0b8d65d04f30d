"""The release rule itself on both implementations, by a judge that knows only what the machines have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import MS, Limits
from frames import pattern
from hypothesis import given, settings
from hypothesis import strategies as st
from notation import Step
from playing import IMPLEMENTATIONS, play
from reading import FIN, Segment, read
from schedules import ISN, MSS, Copy, Piece, cuttings, fragment, interleaved, renderings, udp

if TYPE_CHECKING:
    from playing import Implementation, Output

EACH = pytest.mark.parametrize("name", IMPLEMENTATIONS)
LENGTHS = st.integers(1, 200)


class Judge:
    """Feeds frames, keeps what comes out, and refuses what the secondary's machine does not explain."""

    def __init__(self, name: str, primary: Copy, secondary: Copy) -> None:
        self.comparison: Implementation = IMPLEMENTATIONS[name](Limits())
        self.copies = {"p": primary, "s": secondary}
        self.said: set[int] = set()
        self.line = 0
        self.sent: list[bytes] = []
        self.released: list[bytes] = []
        self.events: list[str] = []
        syn = primary.syn(MSS)
        for who in "ps":
            self.step(who, syn)

    def step(self, verb: str, frame: bytes = b"", argument: int = 1, time: int = 0) -> None:
        self.line += 1
        outputs = play(Step(self.line, verb, time, argument, 0, frame), self.comparison)
        if verb == "p":
            self.sent.append(frame)
        self._take(outputs)

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, str):
                self.events.append(output)
            else:
                self.released.append(output[1])

    def say(self, who: str, piece: Piece) -> None:
        before = len(self.released)
        if who == "s":
            ends = piece.end >= self.copies[who].end
            self.said |= set(range(piece.start, min(piece.end, self.copies[who].end) + ends))
        self.step(who, self.copies[who].segment(piece.start, piece.end))
        for frame in self.released[before:]:
            assert self._reach(frame) <= self.explained(), "nobody could explain it"

    def _reach(self, frame: bytes) -> int:
        segment = read(frame)
        assert isinstance(segment, Segment)
        return (segment.seq - ISN - 1) % 2**32 + len(segment.payload) + segment.has(FIN)

    def explained(self) -> int:
        """Positions from the first on that both have sent alike; an end takes one."""
        primary, secondary = (self._positions(self.copies[who]) for who in "ps")
        alike = 0
        while alike in self.said and primary.get(alike) == secondary.get(alike):
            alike += 1
        return alike

    def _positions(self, copy: Copy) -> dict[int, int | str]:
        return {**dict(enumerate(copy.stream[: copy.end])), copy.end: "end"}


@EACH
@settings(max_examples=100)
@given(data=st.data(), length=LENGTHS)
def test_equal_streams_go_completely_however_they_are_rendered(
    name: str, data: st.DataObject, length: int
) -> None:
    stream = pattern(0, length)
    judge = Judge(name, Copy(stream, length), Copy(stream, length))
    sides = [data.draw(renderings(length)) for _ in range(2)]
    for who, piece in data.draw(interleaved(*sides)):
        judge.say(who, piece)
    judge.step("time", time=1000 * MS)
    assert judge.released == judge.sent
    assert judge.events == [f"isn {ISN}"]
    assert judge.comparison.held_frames() == 0


@EACH
@settings(max_examples=100)
@given(data=st.data(), length=LENGTHS)
def test_a_difference_never_goes_before_a_commit_and_goes_with_it(
    name: str, data: st.DataObject, length: int
) -> None:
    stream = pattern(0, length)
    wrong = data.draw(st.integers(0, length))  # the last one: where the stream ends
    other = stream[:wrong] + bytes(byte ^ 1 for byte in stream[wrong : wrong + 1]) + stream[wrong + 1 :]
    secondary = Copy(other + b"more", length + 4 * (wrong == length))
    judge = Judge(name, Copy(stream, length), secondary)
    sides = data.draw(renderings(length)), data.draw(renderings(secondary.end))
    for who, piece in data.draw(interleaved(*sides)):
        judge.say(who, piece)
    kind = "end" if wrong == length else "stream"
    assert judge.events == [f"isn {ISN}", f"divergence {kind}"]
    assert len(judge.released) < len(judge.sent)
    judge.step("cut")
    judge.step("commit")
    assert judge.released == judge.sent


@EACH
@settings(max_examples=100)
@given(data=st.data(), units=st.integers(2, 30), rest=st.integers(0, 7), version=st.sampled_from([4, 6]))
def test_a_datagram_goes_as_it_came_however_either_machine_cuts_it(
    name: str, data: st.DataObject, units: int, rest: int, version: int
) -> None:
    judge = Judge(name, Copy(b"", 0), Copy(b"", 0))
    payload = pattern(0, units * 8 - 8 + rest)
    sides = [data.draw(cuttings(units * 8 + rest)) for _ in range(2)]
    for who, piece in data.draw(interleaved(*sides)):
        judge.step(who, fragment(payload, piece.start, piece.end, number=3 + (who == "s"), version=version))
    assert judge.released == judge.sent
    judge.step("time", time=1000 * MS)
    assert judge.events == [f"isn {ISN}"]


@EACH
@settings(max_examples=100)
@given(data=st.data(), units=st.integers(2, 30), wrong=st.integers(0, 10_000))
def test_a_datagram_that_differs_never_goes_before_a_commit_and_goes_with_it(
    name: str, data: st.DataObject, units: int, wrong: int
) -> None:
    judge = Judge(name, Copy(b"", 0), Copy(b"", 0))
    payload = pattern(0, units * 8 - 8)
    at = wrong % len(payload)
    other = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
    sides = [data.draw(cuttings(units * 8)) for _ in range(2)]
    for who, piece in data.draw(interleaved(*sides)):
        judge.step(who, fragment(payload if who == "p" else other, piece.start, piece.end))
    assert judge.released == judge.sent[:1]
    judge.step("time", time=3 * MS)
    assert judge.events == [f"isn {ISN}", "divergence message"]
    judge.step("cut")
    judge.step("commit")
    assert judge.released == judge.sent


@EACH
@settings(max_examples=100)
@given(data=st.data(), messages=st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=20))
def test_messages_go_in_the_primary_s_order_whatever_the_secondary_s(
    name: str, data: st.DataObject, messages: list[bytes]
) -> None:
    judge = Judge(name, Copy(b"", 0), Copy(b"", 0))
    others = data.draw(st.permutations(messages))
    for who, number in data.draw(interleaved(list(range(len(messages))), list(range(len(messages))))):
        judge.step(who, udp((messages if who == "p" else others)[number]))
    assert judge.released == judge.sent
    judge.step("time", time=1000 * MS)
    assert judge.events == [f"isn {ISN}"]


@EACH
@settings(max_examples=100)
@given(
    messages=st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=12),
    others=st.lists(st.sampled_from([b"a", b"b"]), max_size=12),
)
def test_each_message_needs_one_of_its_own(name: str, messages: list[bytes], others: list[bytes]) -> None:
    judge = Judge(name, Copy(b"", 0), Copy(b"", 0))
    for message in messages:
        judge.step("p", udp(message))
    for message in others:
        judge.step("s", udp(message))
    went = judge.released[1:]
    assert went == [udp(message) for message in messages[: len(went)]]
    for message in (b"a", b"b"):
        assert went.count(udp(message)) <= others.count(message)
