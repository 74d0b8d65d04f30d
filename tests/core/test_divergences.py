"""What the core remembers of divergences, and the frames around one as a file that others read."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING

import attrs
import pytest
from scapy.utils import PcapNgReader
from sides import Side, answer, get, put, request

from colo import _core
from colo.agent import divergences

if TYPE_CHECKING:
    from conftest import Pair


@attrs.frozen
class Frame:
    source: str
    bytes: bytes
    comment: str
    time: float


def _lock_step(pair: Pair) -> None:
    """Both are in epoch 2, as if the agents had done checkpoint 1."""
    ram_fd = _ram()
    replica = _core.Replica(_core.GuestRam(ram_fd, 4096), 1 << 20)
    p, s = pair.p.relay, pair.s.relay
    p.alone()
    s.begin_secondary(replica)
    p.cut(1)
    p.send(b"so far")
    assert pair.s.event("control") == (b"so far",)
    p.commit(1)
    s.svm_stopped()
    s.enter_epoch(2)
    s.deliver()
    p.loaded(1)


def _ram() -> int:
    fd = os.memfd_create("ram")
    os.ftruncate(fd, 4096)
    return fd


def _diverge(p: Side, s: Side) -> None:
    put(p.vm, answer(b"time 1"))
    put(s.vm, answer(b"time 2"))
    p.event("divergence")


def _read(file: bytes) -> list[Frame]:
    frames = []
    with PcapNgReader(io.BytesIO(file)) as reader:
        for packet in reader:
            name, comment = packet.sniffed_on, packet.comment
            frames.append(Frame(_text(name), bytes(packet), _text(comment), float(packet.time)))
    return frames


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_a_divergence_is_remembered_with_a_few_bytes_of_both(pair: Pair) -> None:
    _lock_step(pair)
    before = _core.boottime_ns()
    _diverge(pair.p, pair.s)
    found = divergences.read(pair.p.relay)
    assert found.by_kind == {
        "stream": 0,
        "end": 0,
        "handshake": 0,
        "message": 1,
        "missing": 0,
        "ports": 0,
        "acknowledgement": 0,
    }
    assert found.by_kind == divergences.by_kind(pair.p.relay)
    (one,) = found.last
    assert (one.number, one.epoch, one.nic, one.kind) == (1, 2, 0, "message")
    assert one.flow == "udp 10.0.0.2:80 > 10.0.0.9:4312"
    assert (one.offset, bytes.fromhex(one.primary), bytes.fromhex(one.secondary)) == (5, b"1", b"2")
    assert one.detail == "offset 5: primary 31, secondary 32"
    assert before <= one.at_ns <= _core.boottime_ns()
    assert 2.0 <= one.held_ms < 1000.0, "reordering is waited for"
    assert divergences.read(pair.s.relay).last == ()


def test_the_frames_around_it_are_a_file_that_others_read(pair: Pair) -> None:
    _lock_step(pair)
    pair.p.relay.capture(1)
    put(pair.p.uplink, request(b"what time is it?"))
    assert get(pair.p.vm) == request(b"what time is it?")
    began = time.time()
    _diverge(pair.p, pair.s)
    frames = _read(pair.p.relay.captured("demo: time differs"))
    assert sorted((frame.source, frame.bytes) for frame in frames) == [
        ("pvm", answer(b"time 1")),
        ("svm", answer(b"time 2")),
        ("uplink", request(b"what time is it?")),
    ]
    assert sorted(frame.comment for frame in frames) == ["epoch 2", "epoch 2", "epoch 2; noticed here"]
    assert all(abs(frame.time - began) < 5 for frame in frames)
    assert _read(pair.p.relay.captured("")) == []


def test_without_a_capture_there_is_no_file(pair: Pair) -> None:
    with pytest.raises(RuntimeError, match="nothing is being captured"):
        pair.p.relay.captured("")
