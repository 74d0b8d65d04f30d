"""Rounds of pre-copy, with a relay, a tracker and a hypervisor that are not there."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from colo import _core
from colo.agent.precopy import Copied, PreCopy
from colo.errors import QemuError
from colo.model.compression import Compression, Tally
from colo.model.convergence import MOST_PAGES, Convergence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colo._core import PageSet

pytestmark = pytest.mark.anyio

_PAGES = 60_000


@define
class _Vm:
    """Between two collections it writes what `writes` gives, less while it is stopped."""

    ram: Any
    writes: Callable[[], int]
    pages: int = _PAGES
    calls: list[str] = field(factory=list)
    refuse: str = ""
    is_stopped: anyio.Event = field(factory=anyio.Event)

    @property
    def hypervisor(self) -> _Vm:
        return self

    def tracker(self) -> _Vm:
        return self

    def collect(self) -> PageSet:
        return _core.PageSet.all(self.writes())

    async def stop(self) -> None:
        self._called("stop")
        self.is_stopped.set()
        await anyio.lowlevel.checkpoint()

    async def cont(self) -> None:
        self._called("cont")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.refuse:
            raise QemuError(f"no {name}", "")


@define
class _Relay:
    """Sends at once; each page takes 4096 bytes."""

    slices: list[tuple[int, str]] = field(factory=list)
    blank: int = 0
    precopy: PreCopy | None = None

    def send_blank(self, pages: PageSet, _encoder: object) -> None:
        self.blank += len(pages)
        if self.precopy is not None:
            self.precopy.slice_sent(Tally(zero=len(pages), sent_bytes=100))

    def send_pages(self, _ram: object, pages: PageSet, _encoder: object, lz4: str) -> None:
        self.slices.append((len(pages), lz4))
        if self.precopy is not None:
            self.precopy.slice_sent(Tally(raw=len(pages), sent_bytes=len(pages) * 4096))


@pytest.fixture
def ram() -> Iterator[_core.GuestRam]:
    fd = os.memfd_create("ram")
    os.pwrite(fd, bytes(_PAGES * 4096), 0)
    yield _core.GuestRam(fd, _PAGES * 4096)
    os.close(fd)


@pytest.fixture
def fresh_ram() -> Iterator[_core.GuestRam]:
    """Of which 5,000 pages have been used."""
    fd = os.memfd_create("ram")
    os.truncate(fd, _PAGES * 4096)
    os.pwrite(fd, bytes(5000 * 4096), 9000 * 4096)
    yield _core.GuestRam(fd, _PAGES * 4096)
    os.close(fd)


def _precopy(
    vm: _Vm, relay: _Relay, told: list[Copied], *, max_mib_s: int = 0, started: bool = True
) -> PreCopy:
    peer_started = anyio.Event()
    if started:
        peer_started.set()
    precopy = PreCopy(
        cast("Any", vm),
        cast("Any", relay),
        _core.Encoder(vm.ram, shadow=False),
        Compression("none"),
        Convergence(1 << 20, 1e9),
        told.append,
        peer_started,
        max_mib_s,
    )
    relay.precopy = precopy
    return precopy


async def test_rounds_go_on_until_little_is_left_and_progress_is_told(ram: _core.GuestRam) -> None:
    written = iter([0, 20_000, 5_000, 100])
    vm, relay, told = _Vm(ram, lambda: next(written)), _Relay(), list[Copied]()
    left = await _precopy(vm, relay, told).run()
    assert len(left) == 100
    assert sum(pages for pages, _ in relay.slices) == _PAGES + 20_000 + 5_000
    rounds = {so_far.number: so_far for so_far in told}
    assert [(so_far.pages, so_far.done) for so_far in rounds.values()] == [
        (_PAGES, _PAGES),
        (20_000, 20_000),
        (5_000, 5_000),
    ]
    assert rounds[1].sent_bytes == _PAGES * 4096
    assert rounds[1].rate > 0
    assert told[0].done == 0
    assert len([so_far for so_far in told if so_far.number == 1]) > 10
    assert vm.calls == []


async def test_the_first_round_goes_out_before_the_peers_qemu_is_there_and_what_is_written_until_then_follows(
    ram: _core.GuestRam,
) -> None:
    written, there = iter([0, 20_000, 7]), list[bool]()

    def writes() -> int:
        there.append(precopy.peer_started.is_set())
        return next(written)

    relay = _Relay()
    precopy = _precopy(_Vm(ram, writes), relay, [], started=False)

    first_round = anyio.Event()

    def told(so_far: Copied) -> None:
        if so_far.done == _PAGES:
            first_round.set()

    async def start() -> None:
        await first_round.wait()
        await anyio.wait_all_tasks_blocked()
        precopy.peer_started.set()

    precopy.tell = told
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        left = await precopy.run()
    assert there == [False, True, True]
    assert sum(pages for pages, _ in relay.slices) == _PAGES + 20_000
    assert len(left) == 7


async def test_a_secondary_whose_qemu_does_not_start_is_given_up(
    ram: _core.GuestRam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colo.agent.precopy._START_S", 0.05)
    with pytest.raises(TimeoutError, match="the secondary's QEMU did not start within"):
        await _precopy(_Vm(ram, lambda: 0), _Relay(), [], started=False).run()


async def test_what_was_never_used_is_told_once_and_not_read(fresh_ram: _core.GuestRam) -> None:
    written = iter([0, 3000, 100])
    vm, relay, told = _Vm(fresh_ram, lambda: next(written)), _Relay(), list[Copied]()
    before = fresh_ram.blocks()
    await _precopy(vm, relay, told).run()
    assert relay.blank == _PAGES - 5000
    assert sum(pages for pages, _ in relay.slices) == 5000 + 3000
    assert [(so_far.pages, so_far.done) for so_far in told if so_far.number == 1][-1] == (_PAGES, _PAGES)
    assert fresh_ram.blocks() == before


async def test_a_vm_that_writes_too_much_is_stopped_for_more_and_more_of_the_time(
    ram: _core.GuestRam,
) -> None:
    vm, relay, told = _Vm(ram, lambda: MOST_PAGES + 1), _Relay(), list[Copied]()
    precopy = _precopy(vm, relay, told)
    vm.writes = lambda: MOST_PAGES + 1 if precopy.convergence.stopped < 0.9 else 5_000
    left = await precopy.run()
    assert len(left) == 5_000
    assert sorted({so_far.stopped for so_far in told}) == [0.0, 0.3, 0.5, 0.7, 0.8, 0.9]
    assert vm.calls == ["stop", "cont"] * (len(vm.calls) // 2)
    assert len(vm.calls) > 200


async def test_a_limited_rate_is_kept_and_even(fresh_ram: _core.GuestRam) -> None:
    written = iter([0, 0])
    vm, relay, told = _Vm(fresh_ram, lambda: next(written)), _Relay(), list[Copied]()
    began = monotonic()
    await _precopy(vm, relay, told, max_mib_s=40).run()
    assert monotonic() - began >= 0.45  # 5,000 pages at 40 MiB/s: never faster
    assert max(pages for pages, _ in relay.slices) * 4096 <= 4 << 20


async def test_whoever_gives_up_leaves_the_vm_running(ram: _core.GuestRam) -> None:
    vm, relay, told = _Vm(ram, lambda: MOST_PAGES + 1), _Relay(), list[Copied]()
    precopy = _precopy(vm, relay, told)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(precopy.run)
            await vm.is_stopped.wait()
            relay.precopy = None  # the link takes no more
            await anyio.wait_all_tasks_blocked()
            assert vm.calls[-1] == "stop"
            tasks.cancel_scope.cancel()
    assert vm.calls[-1] == "cont"


async def test_a_qemu_that_will_not_stop_is_an_error_and_is_told_to_go_on(ram: _core.GuestRam) -> None:
    vm = _Vm(ram, lambda: MOST_PAGES + 1, refuse="stop")
    with pytest.raises(QemuError, match="no stop"):
        await _precopy(vm, _Relay(), []).run()
    assert vm.calls == ["stop", "cont"]
