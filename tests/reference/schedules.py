"""What two machines might do: renderings of the same streams, and schedules of anything at all."""

from __future__ import annotations

import ipaddress
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import attrs
from comparison import MS
from frames import FLAGS, Spec, build, pattern
from hypothesis import strategies as st
from notation import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

GUEST = ipaddress.ip_address("10.0.0.2")
CLIENT = ipaddress.ip_address("10.0.0.9")
GUEST6 = ipaddress.ip_address("2001:db8::2")
CLIENT6 = ipaddress.ip_address("2001:db8::9")
ISN = 0xFFFF_FFF0
"""Streams wrap soon after it."""


def tcp(flags: str, keys: Mapping[str, int | str], data: bytes = b"") -> bytes:
    """`keys` as in a vector; numbers of any size."""
    texts = {key: str(value % 2**32 if isinstance(value, int) else value) for key, value in keys.items()}
    bits = sum(FLAGS[flag] for flag in flags)
    return build(Spec("tcp", ((GUEST, 80), (CLIENT, 40001)), texts, bits, data))


def udp(data: bytes, *, port: int = 5353) -> bytes:
    return build(Spec("udp", ((GUEST, 53), (CLIENT, port)), {}, 0, data))


def fragment(data: bytes, start: int, end: int, *, number: int = 7, version: int = 4) -> bytes:
    """A part of a datagram behind its IP header: 8 bytes of UDP, then the data."""
    ends = ((GUEST, 53), (CLIENT, 5353)) if version == 4 else ((GUEST6, 53), (CLIENT6, 5353))
    keys = {"ipid": str(number), "part": f"{start}+{end - start}"}
    return build(Spec("udp", ends, keys, 0, data))


@attrs.frozen
class Piece:
    """A part of a stream as a machine sends it; the last one ends it."""

    start: int
    end: int


@st.composite
def renderings(draw: st.DrawFn, length: int) -> list[Piece]:
    """A stream of so many bytes in segments: any boundaries, some sent again with others, some late."""
    cuts = sorted({0, length, *draw(st.lists(st.integers(0, length), max_size=10))})
    pieces = [Piece(start, end) for start, end in pairwise(cuts)]
    again = draw(st.lists(st.tuples(st.integers(0, length), st.integers(1, 40)), max_size=4))
    pieces += [Piece(start, min(length, start + count)) for start, count in again if start < length]
    for index in draw(st.lists(st.integers(0, len(pieces) - 1), max_size=4)):
        pieces.append(pieces.pop(index))
    return pieces


@st.composite
def cuttings(draw: st.DrawFn, length: int) -> list[Piece]:
    """A datagram of so many bytes in fragments: any boundaries and order, some twice before the end."""
    cuts = sorted({0, length, *(8 * cut for cut in draw(st.lists(st.integers(1, length // 8), max_size=6)))})
    *pieces, last = draw(st.permutations([Piece(start, end) for start, end in pairwise(cuts)]))
    if pieces:
        pieces += draw(st.lists(st.sampled_from(pieces), max_size=3))
    return [*pieces, last]


@st.composite
def interleaved(draw: st.DrawFn, primary: list[T], secondary: list[T]) -> list[tuple[str, T]]:
    """What both machines send in the order in which they arrive; of one machine in its own order."""
    turns = draw(st.permutations(["p"] * len(primary) + ["s"] * len(secondary)))
    sides = {"p": iter(primary), "s": iter(secondary)}
    return [(who, next(sides[who])) for who in turns]


SACK = "0101050a00000384000003e8"
MSS, SCALED = "020405b4", "020405b403030201"
LENGTH = 40
"""Bytes of a stream before it ends."""
ACK = 0xFFFF_FFFE
"""Acknowledgements wrap soon after it."""


@attrs.define
class Copy:
    """One copy of the guest: what it would send on its connection, and how far it is."""

    stream: bytes
    end: int
    sent: int = 0
    ack: int = ACK
    window: int = 500
    isn: int = ISN

    def segment(self, start: int, end: int, **keys: int | str) -> bytes:
        end = min(self.end, end)
        flags = ("FA" if end == self.end else "A") + ("U" if "urg" in keys else "")
        seq = self.isn + 1 + start
        numbers = {"seq": seq, "ack": self.ack, "win": self.window, **keys}
        return tcp(flags, numbers, self.stream[start:end])

    def pure(self, flags: str = "A", **keys: int | str) -> bytes:
        seq = self.isn + 1 + self.sent
        return tcp(flags, {"seq": seq, "ack": self.ack, "win": self.window, **keys})

    def fresh(self, count: int) -> tuple[int, int]:
        start, self.sent = self.sent, min(self.end, self.sent + count)
        return start, self.sent

    def syn(self, options: str, flags: str = "SA") -> bytes:
        return tcp(flags, {"seq": self.isn, "ack": ACK, "win": self.window, "opt": options})

    def act(self, what: str, amount: int) -> bytes:  # noqa: PLR0911
        """Sends something; `amount` is from 1 to 9."""
        match what:
            case "data":
                return self.segment(*self.fresh(2 * amount))
            case "skip":
                self.fresh(amount)
                return self.segment(*self.fresh(amount))
            case "again":
                return self.segment(max(0, self.sent - 2 * amount), self.sent)
            case "from-the-start":
                return self.segment(0, self.sent)
            case "all":
                self.sent = self.end
                return self.segment(max(0, self.end - LENGTH // amount), self.end)
            case "urgent":
                return self.segment(*self.fresh(amount), urg=amount // 2)
            case "ack":
                self.ack += amount % 5
                return self.pure()
            case "window":
                self.window = 250 * (amount % 4)
                return self.pure()
            case "sack":
                return self.pure(opt=SACK)
            case "probe":
                return self.pure(seq=self.isn + self.sent)
            case "syn":
                return self.syn(MSS if amount < 9 else SCALED, "S" if amount == 8 else "SA")
            case "new":
                self.isn, self.sent, self.ack = self.isn + 1000 * amount, 0, ACK
                return self.syn(MSS if amount < 5 else SCALED)
            case "open":
                spec = Spec("tcp", ((GUEST, 40000 + amount % 3), (CLIENT, 80)), {"seq": "7"}, FLAGS["S"], b"")
                return build(spec)
            case "reset":
                return self.pure("RA")
        return self.say(what, amount)

    def say(self, what: str, amount: int) -> bytes:
        """A datagram, or a fragment of one or of a segment."""
        start, end = PARTS[amount - 1]
        match what:
            case "udp":
                return udp(b"abc"[amount % 3 :], port=5353 + amount // 6)
            case "cut segment":
                return self.segment(0, 12, part=f"{start}+{end - start}", ipid=7)
            case "cut" | "cut6":
                number, version = amount // 8, 6 if what == "cut6" else 4
                return fragment(self.stream[8 * number :][:24], start, end, number=number, version=version)
        raise ValueError(what)


PARTS = ((0, 8), (8, 16), (16, 32), (0, 16), (16, 32), (8, 32), (8, 16), (0, 32), (0, 8))
"""Of a datagram of 32 bytes: they fit together, repeat each other, or overlap."""

ACTS = (
    *("data", "data", "again", "skip", "from-the-start", "all", "urgent"),
    *("ack", "ack", "window", "sack", "probe", "syn", "new", "open", "reset", "udp"),
    *("cut", "cut", "cut6", "cut segment"),
)
CHECKPOINT = ("cut", "commit", "loaded")
GAPS = (0, 0, 0, MS // 2, MS, 2 * MS, 60 * MS)


@st.composite
def copies(draw: st.DrawFn) -> tuple[Copy, Copy]:
    """Equal, or with a byte or the end different."""
    stream = pattern(0, LENGTH)
    wrong, ends = draw(st.none() | st.integers(0, LENGTH - 1)), draw(st.sampled_from([0, 0, 0, 0, 7]))
    other = bytes(byte ^ (at == wrong) for at, byte in enumerate(stream))
    return Copy(stream, LENGTH), Copy(other, LENGTH - ends)


@st.composite
def schedules(draw: st.DrawFn) -> list[Step]:
    """Frames of both copies, checkpoints in order, time. At a load the secondary becomes as the
    primary was at the cut.

    Each schedule uses a few acts only: with all of them at once few things happen twice.
    """
    acts = draw(st.lists(st.sampled_from(ACTS), min_size=1, max_size=5))
    verbs = draw(st.sampled_from(["ps", "pst", "ppsst", "ppppsssscct", "ppppppsssssscct"]))
    primary, secondary = draw(copies())
    at_cut = attrs.evolve(primary)
    now, done, steps, epochs = 0, 0, list[Step](), {"p": 1, "s": 1}
    if draw(st.booleans()):
        frame = primary.syn(draw(st.sampled_from([MSS, SCALED])))
        steps = [Step(0, "p", 0, 1, 0, frame), Step(0, "s", 0, 1, 0, frame)]
    for line in range(draw(st.integers(5, 60))):
        now += draw(st.sampled_from(GAPS))
        verb = draw(st.sampled_from(verbs))
        if verb == "t":
            steps.append(Step(line, "time", now))
        elif verb == "c":
            verb, checkpoint = CHECKPOINT[done % 3], done // 3 + 1
            done += 1
            steps.append(Step(line, verb, now, checkpoint))
            if verb == "cut":
                at_cut, epochs["p"] = attrs.evolve(primary), checkpoint + 1
            elif verb == "loaded":
                secondary, epochs["s"] = attrs.evolve(at_cut, stream=secondary.stream), checkpoint + 1
        else:
            copy = primary if verb == "p" else secondary
            frame = copy.act(draw(st.sampled_from(acts)), draw(st.integers(1, 9)))
            steps.append(Step(line, verb, now, epochs[verb], 0, frame))
    return steps
