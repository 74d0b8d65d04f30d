"""The vectors of the comparison against the Rust crate and against the reference model."""

from __future__ import annotations

from pathlib import Path

import pytest
from notation import NotationError, parse
from playing import IMPLEMENTATIONS, failure, limits_of

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
VECTORS = sorted(FOLDER.glob("*.vec"))
PLANNED = sorted((FOLDER / "planned").glob("*.vec"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_what_comes_out_is_what_the_vector_says(path: Path) -> None:
    vector = parse(path.read_text())
    for name, make in IMPLEMENTATIONS.items():
        assert failure(vector, make(limits_of(vector))) is None, name


@pytest.mark.parametrize("path", PLANNED, ids=lambda path: path.stem)
def test_a_vector_that_passes_is_not_planned_any_more(path: Path) -> None:
    vector = parse(path.read_text())
    for name, make in IMPLEMENTATIONS.items():
        found = failure(vector, make(limits_of(vector)))
        assert found is not None, f"{name} does this now: move {path.name} one folder up"


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        ('p 0 udp 53>5353 "a"\n> udp 53>5353 "a"\n', "a frame that does not come"),
        ('p 0 a: arp 10.0.0.2>10.0.0.9\ns 0 udp 53>5353 "a"\n', "a frame that nobody expects"),
        ("p 0 a: arp 10.0.0.2>10.0.0.9\n> a ttl=9 pad=60\n", "a frame with other bytes"),
        ("p 0 a: arp 10.0.0.2>10.0.0.9 nic=1\n> a nic=0\n", "a frame on another card"),
        ('p 0 udp 53>5353 "a"\n= held 2\n', "another number of frames"),
        ('p 0 udp 53>5353 "a"\n= full\n', "not full"),
        ("p 0 tcp 80>40001 SA seq=7\n! isn 8\n", "another number"),
        ("p 0 tcp 80>40001 SA seq=7\n", "an event that nobody expects"),
    ],
)
def test_a_vector_that_is_wrong_fails(wrong: str, because: str) -> None:
    vector = parse(wrong)
    for name, make in IMPLEMENTATIONS.items():
        assert failure(vector, make(limits_of(vector))) is not None, (name, because)


@pytest.mark.parametrize(
    "text",
    [
        "q 0.000 1\n",
        "p 0.000\n",
        "p 0.0000000001 arp 10.0.0.2>10.0.0.9\n",
        "p 1 arp 10.0.0.2>10.0.0.9\np 0 arp 10.0.0.2>10.0.0.9\n",
        "p 0 udp 53>somebody\n",
        "p 0 udp 53>5353 hello\n",
        "p 0 quic 53>5353\n",
        "p 0 udp 53>5353 0xabc\n",
        "> arp 10.0.0.2>10.0.0.9\n",
        "p 0 arp 10.0.0.2>10.0.0.9\n! thunder\n",
        "for n 1 2\ntime {n}\n",
        "limits speed=9\n",
        "time 1\nlimits hold=9\n",
    ],
)
def test_what_is_no_vector_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(NotationError, match="line"):
        parse(text)
