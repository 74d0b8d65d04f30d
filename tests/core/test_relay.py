"""The binding of the relay: a pair through a checkpoint, a failover, and what is refused."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from sides import Side, answer, get, is_quiet, put, request, tcp_pair

from colo import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Pair

PAGES = 256
SIZE = PAGES * _core.PAGE_SIZE


@pytest.fixture
def ram_file() -> Iterator[int]:
    fd = os.memfd_create("ram")
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


@pytest.fixture
def svm_file() -> Iterator[int]:
    fd = os.memfd_create("svm")
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


def protect(pair: Pair, ram_file: int, svm_file: int) -> _core.Replica:
    """Pre-copy and checkpoint 1, as the agents do it."""
    ram, svm = _core.GuestRam(ram_file, SIZE), _core.GuestRam(svm_file, SIZE)
    replica = _core.Replica(svm, SIZE * 2)
    pair.p.relay.alone()
    pair.s.relay.begin_secondary(replica)
    encoder = _core.Encoder(ram, shadow=True)
    pair.p.relay.send_pages(ram, _core.PageSet.all(PAGES), encoder, "sample")
    checkpoint, tally = pair.p.event("sent")
    assert checkpoint == 0
    assert sum(tally[kind] for kind in ("zero", "equal", "delta", "twin", "lz4", "raw")) == PAGES
    assert tally["sent_bytes"] > PAGES * 9
    assert pair.p.relay.pause_ingress(1000)
    pair.p.relay.cut(1)
    staging = _core.Staging(ram, SIZE)
    assert staging.gather(_core.PageSet.all(1)) == _core.PAGE_SIZE
    pair.p.relay.resume_ingress()
    pair.p.relay.send_state(1, staging, b"devices" * 20_000, encoder, "always")
    checkpoint, tally = pair.p.event("sent")
    assert (checkpoint, tally["device_bytes"]) == (1, 140_000)
    assert tally["sent_device_bytes"] < 10_000
    checkpoint, pages, _ = pair.s.event("state_complete")
    assert (checkpoint, pages) == (1, tally["zero"] + tally["delta"] + tally["lz4"] + tally["raw"])
    pair.p.relay.commit(1)
    pair.s.relay.svm_stopped()
    assert replica.store(1) == PAGES
    assert replica.restore(_core.PageSet.all(1)) == PAGES
    assert replica.device(1) == b"devices" * 20_000
    pair.s.relay.enter_epoch(2)
    pair.s.relay.deliver()
    pair.p.relay.loaded(1)
    return replica


def test_a_checkpoint_makes_the_replica_equal(pair: Pair, ram_file: int, svm_file: int) -> None:
    os.pwrite(ram_file, os.urandom(SIZE), 0)
    replica = protect(pair, ram_file, svm_file)
    assert os.pread(svm_file, SIZE, 0) == os.pread(ram_file, SIZE, 0)
    assert replica.ram_hash() == replica.cache_hash()
    os.pwrite(svm_file, b"scribble", 5 * _core.PAGE_SIZE)
    assert replica.ram_hash() != replica.cache_hash()
    assert replica.restore(_core.PageSet.all(6)) == 6
    assert replica.ram_hash() == replica.cache_hash()


def test_a_pair_feeds_both_and_answers_once(pair: Pair, ram_file: int, svm_file: int) -> None:
    protect(pair, ram_file, svm_file)
    put(pair.p.uplink, request(b"question"))
    assert get(pair.p.vm) == request(b"question")
    assert get(pair.s.vm) == request(b"question")
    put(pair.p.vm, answer(b"same"))
    assert is_quiet(pair.p.uplink)
    put(pair.s.vm, answer(b"same"))
    assert get(pair.p.uplink) == answer(b"same")
    put(pair.p.vm, answer(b"this"))
    put(pair.s.vm, answer(b"that"))
    nic, flow, kind, detail, _ms, epoch = pair.p.event("divergence")
    assert (nic, kind, epoch) == (0, "message", 2)
    assert flow == "udp 10.0.0.2:80 > 10.0.0.9:4312"
    assert detail
    assert is_quiet(pair.p.uplink)
    stats = pair.p.relay.stats()
    assert (stats["role"], stats["released_agreed"], stats["divergences"]) == (2, 1, 1)


def test_a_secondary_that_lost_its_primary_takes_over(pair: Pair, ram_file: int, svm_file: int) -> None:
    protect(pair, ram_file, svm_file)
    put(pair.s.vm, answer(b"last words"))
    pair.p.relay.stop()
    (reason,) = pair.s.event("link_down")
    assert reason
    pair.s.relay.promote()
    pair.s.open_gate()
    assert get(pair.s.uplink) == answer(b"last words")
    pair.s.relay.inject(0, answer(b"announcement"))
    assert get(pair.s.uplink) == answer(b"announcement")
    assert pair.s.relay.guest_addresses(0) == [("52:54:00:c0:10:01", "10.0.0.2")]


def test_control_and_gate_events(pair: Pair) -> None:
    pair.p.relay.send(b'{"hello": 1}')
    assert pair.s.event("control") == (b'{"hello": 1}',)
    pair.p.relay.gate(0)
    assert pair.p.event("gate_closed") == ()


def test_a_stranger_is_refused_by_name(tls: dict[str, _core.Tls]) -> None:
    p, s = Side.start(), Side.start()
    to_s, to_p = tcp_pair()
    with to_s, to_p:
        p.relay.attach_link(to_s.fileno(), tls["gamma"], "beta", server=False)
        s.relay.attach_link(to_p.fileno(), tls["beta"], "alpha", server=True)
    (reason,) = s.event("link_down")
    assert "not for alpha" in reason
    p.end()
    s.end()


def test_calls_that_wait_let_other_threads_run(pair: Pair) -> None:
    pair.p.relay.alone()
    put(pair.p.uplink, request(b"never read"))
    while not pair.p.relay.stats()["frames_in"]:
        pass
    ticks = 0
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(pair.p.relay.pause_ingress(200)))
    waiter.start()
    while waiter.is_alive():
        ticks += 1
        time.sleep(0.001)
    assert answers == [False]
    assert ticks > 20


def test_a_card_has_offloads_on_both_sides_or_on_none() -> None:
    side = Side.start()
    with pytest.raises(RuntimeError, match="offloads at the VM and at its uplink"):
        side.relay.attach_vm_tap(0, side.vm.fileno(), side.vm.fileno())
    with pytest.raises(RuntimeError, match="offloads at the VM and at its uplink"):
        _core.Relay(1, 1, 1, 1, 1, 1, offloads=[0]).attach_uplink(0, side.vm.fileno(), "stream")
    side.end()
    with pytest.raises(ValueError, match="first 32 cards"):
        _core.Relay(1, 1, 1, 1, 1, 1, offloads=[32])


def test_what_is_refused_says_so_with_the_right_exception(tls: dict[str, _core.Tls]) -> None:
    side = Side.start()
    with pytest.raises(RuntimeError, match="not a secondary"):
        side.relay.promote()
    with pytest.raises(ValueError, match="no network card 1"):
        side.relay.attach_vm(1, side.vm.fileno())
    with pytest.raises(ValueError, match="not a file descriptor"):
        side.relay.attach_vm(0, -1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        side.relay.attach_vm(0, 1_000_000)
    with pytest.raises(ValueError, match="a tap or a stream"):
        side.relay.attach_uplink(0, side.uplink.fileno(), "bridge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="too many"):
        side.relay.send(bytes(2 << 20))
    with pytest.raises(OSError, match="TCP_NODELAY"):
        side.relay.attach_link(side.vm.fileno(), tls["alpha"], "beta", server=False)
    side.end()
    with pytest.raises(RuntimeError, match="stopped"):
        side.relay.close()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _core.Tls("nowhere", "nowhere", "nowhere")
