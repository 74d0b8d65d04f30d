"""The vectors' language: from text to steps. tests/vectors/README.md defines it."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
from frames import FLAGS, Spec, build, number, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from frames import Address

TOKEN = re.compile(r'"[^"]*"|\S+')
END = re.compile(r"^(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<v4>\d+\.\d+\.\d+\.\d+))?:?(?P<port>\d+)?$")
KEY = re.compile(r"^([a-z]+)=(.+)$")
HOSTS = ("10.0.0.2", "10.0.0.9")
DEFAULT_LIMITS = {"hold": 100, "held": 1 << 20, "flows": 1000, "pending": 1 << 16}
KINDS = frozenset({"stream", "end", "handshake", "message", "ports", "acknowledgement"})
INPUTS = frozenset({"p", "s", "cut", "commit", "loaded", "alone", "time"})


class NotationError(ValueError):
    """Not a vector; says the line."""


@attrs.frozen
class Step:
    """What goes in at `time` (nanoseconds), and what must come out then."""

    line: int
    verb: str
    time: int
    argument: int = 0
    """Checkpoint, or the secondary's epoch."""
    nic: int = 0
    frame: bytes = b""
    expected: list[str | tuple[int, bytes]] = attrs.field(factory=list)
    """Events in words, then (nic, frame)."""
    checks: list[str] = attrs.field(factory=list)


@attrs.frozen
class Vector:
    limits: Mapping[str, int]
    steps: list[Step]


def parse(text: str) -> Vector:
    """Raises NotationError."""
    reader = _Reader()
    for line, content in _unrolled(list(enumerate(text.splitlines(), 1)), {}):
        try:
            reader.read(line, content)
        except (ValueError, LookupError, OverflowError) as error:
            raise NotationError(f"line {line}: {content}: {error}") from error
    return Vector(reader.limits, reader.steps)


def _unrolled(lines: list[tuple[int, str]], names: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Lines without comments and loops."""
    at = 0
    while at < len(lines):
        line, content = lines[at]
        words = content.split()
        at += 1
        if not words or content.startswith("#"):
            continue
        if words[0] != "for":
            yield line, _substituted(content, names)
            continue
        end = _end_of_loop(lines, at)
        for value in range(int(words[2]), int(words[3]) + 1):
            yield from _unrolled(lines[at:end], {**names, words[1]: value})
        at = end + 1


def _end_of_loop(lines: list[tuple[int, str]], start: int) -> int:
    depth = 1
    for index in range(start, len(lines)):
        first = lines[index][1].split()[:1]
        depth += (first == ["for"]) - (first == ["end"])
        if depth == 0:
            return index
    raise NotationError(f"line {lines[start - 1][0]}: a loop without an end")


def _substituted(content: str, names: dict[str, int]) -> str:
    for name, value in names.items():
        content = content.replace(f"{{{name}}}", str(value))
    return content


class _Reader:
    def __init__(self) -> None:
        self.limits = dict(DEFAULT_LIMITS)
        self.steps: list[Step] = []
        self.named: dict[str, list[str]] = {}
        self.epoch = 1

    def read(self, line: int, content: str) -> None:
        first, *words = TOKEN.findall(content)
        if first in INPUTS:
            self.steps.append(self._step(line, first, words))
            return
        match first:
            case "limits":
                given = {key: int(value) for key, value in (word.split("=") for word in words)}
                if given.keys() - self.limits.keys() or self.steps:
                    raise ValueError("limits that nobody knows, or too late")
                self.limits |= given
            case ">":
                self.steps[-1].expected.append(self._expected_frame(words))
            case "!":
                self.steps[-1].expected.append(_event(words))
            case "=":
                self.steps[-1].checks.append(" ".join(words))
            case _:
                raise ValueError(f"no such step: {first}")

    def _step(self, line: int, verb: str, words: list[str]) -> Step:
        time = _time(words.pop(0))
        if self.steps and time < self.steps[-1].time:
            raise ValueError("time runs backwards")
        match verb:
            case "p" | "s":
                epoch = self.epoch
                if words[0].startswith("@"):
                    epoch = int(words.pop(0)[1:])
                name = words.pop(0)[:-1] if words[0].endswith(":") else None
                if name is not None:
                    self.named[name] = words
                return Step(line, verb, time, epoch, *_frame(tuple(words)))
            case "alone" | "time":
                return Step(line, verb, time)
            case _:
                checkpoint = int(words[0])
                if verb == "loaded":
                    self.epoch = checkpoint + 1
                return Step(line, verb, time, checkpoint)

    def _expected_frame(self, words: list[str]) -> tuple[int, bytes]:
        """Of a key that is there twice the last one counts."""
        named = self.named.get(words[0])
        return _frame(tuple(words if named is None else named + words[1:]))


@lru_cache(maxsize=256)
def _frame(words: tuple[str, ...]) -> tuple[int, bytes]:
    """(nic, frame); vectors say most frames twice."""
    spec = frame_spec(list(words))
    return spec.number("nic"), build(spec)


def _event(words: list[str]) -> str:
    """In one way of writing: numbers in decimal."""
    match words:
        case ["isn", text]:
            return f"isn {number(text)}"
        case ["divergence", kind] if kind in KINDS:
            return f"divergence {kind}"
        case ["hold" | "queue" as name]:
            return name
    raise ValueError("no such event")


def _time(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    if len(fraction) > 9:
        raise ValueError("more than nine decimals")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0") or "0")


def frame_spec(words: list[str]) -> Spec:
    """A frame in words. Raises ValueError."""
    kind, *words = words
    ends = ((_address(HOSTS[0]), 0), (_address(HOSTS[1]), 0))
    if kind == "hex":
        return Spec(kind, ends, {}, 0, bytes.fromhex("".join(words)))
    if words and ">" in words[0] and not words[0].startswith('"'):
        one, other = words.pop(0).split(">")
        ends = (_end(one, HOSTS[0]), _end(other, HOSTS[1]))
    keys: dict[str, str] = {}
    flags, data = 0, b""
    for word in words:
        if KEY.match(word):
            key, value = _key(word)
            keys[key] = value
        elif set(word) <= FLAGS.keys():
            flags = sum(FLAGS[letter] for letter in set(word))
        else:
            data += _data(word)
    return Spec(kind, ends, keys, flags, data)


def _key(word: str) -> tuple[str, str]:
    found = KEY.match(word)
    if not found:
        raise ValueError(f"neither key, flags nor data: {word}")
    return found[1], found[2]


def _data(word: str) -> bytes:
    if word.startswith('"'):
        return word[1:-1].encode("ascii")
    if word.startswith("0x"):
        return bytes.fromhex(word[2:])
    if word.startswith("@"):
        start, count = word[1:].split("+")
        return pattern(int(start), int(count))
    raise ValueError(f"neither key, flags nor data: {word}")


@lru_cache(maxsize=4096)
def _address(text: str) -> Address:
    return ipaddress.ip_address(text)


def _end(text: str, host: str) -> tuple[Address, int]:
    found = END.match(text)
    if not found:
        raise ValueError(f"neither port nor address: {text}")
    return _address(found["v6"] or found["v4"] or host), int(found["port"] or 0)
