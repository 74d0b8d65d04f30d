"""The primary's steps, with a hypervisor and a relay that are not there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from colo._core import PAGE_SIZE, PageSet, StagingLimitError
from colo.agent.measures import Measures
from colo.agent.primary_pairing import PrimaryPairing
from colo.agent.primary_work import PrimaryWork
from colo.config.schema import CheckpointConfig, TimingConfig
from colo.errors import QemuError
from colo.model import messages
from colo.model.checkpoint import events
from colo.model.role.events import PeerLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

pytestmark = pytest.mark.anyio

_PATIENCE_S = 5.0


@define
class _Config:
    checkpoint: CheckpointConfig = field(factory=CheckpointConfig)
    timing: TimingConfig = field(factory=TimingConfig)


@define
class _Relay:
    """Its VM reads when the loop has come round."""

    loop_lives: threading.Event = field(factory=threading.Event)
    read: bool | None = None
    tells_output: bool | None = None
    link_is_down: bool = False
    until_cut: threading.Event | None = None

    def watch_output(self, on: bool) -> None:  # noqa: FBT001 - the relay's signature
        self.tells_output = on

    def cut(self, _checkpoint: int) -> None:
        if self.link_is_down:
            raise RuntimeError("the link is not up")
        if self.until_cut is not None:
            self.until_cut.wait(_PATIENCE_S)

    def commit(self, _checkpoint: int) -> None:
        pass

    def loaded(self, _checkpoint: int) -> None:
        pass

    def pause_ingress(self, timeout_ms: int) -> bool:
        self.read = timeout_ms > 1 and self.loop_lives.wait(_PATIENCE_S)
        return self.read

    def commit_when(self, _checkpoint: int, _payload: bytes) -> None:
        pass

    def resume_ingress(self) -> None:
        self.read = None


def _set(event: threading.Event) -> threading.Event:
    event.set()
    return event


@define
class _Vm:
    """Its tracker and its staging, too. It has written 1000 pages, then one more until it stands still."""

    calls: list[str] = field(factory=list)
    tracker_kind: str = "compare"
    state: bytes | None = None
    collected: threading.Event = field(factory=threading.Event)
    may_gather: threading.Event = field(factory=lambda: _set(threading.Event()))
    too_much: bool = False
    sent_meanwhile: bool = False
    _staged: int = 0

    @property
    def hypervisor(self) -> _Vm:
        return self

    @property
    def ram(self) -> _Vm:
        return self

    def hash(self) -> int:
        return 1

    def tracker(self) -> _Vm:
        return self

    def collect(self, *, stopped: bool) -> PageSet:
        self.calls.append(f"collect, stopped: {stopped}")
        return PageSet.all(1 if stopped else 1000)

    def count(self) -> int:
        return 1000

    def reserve(self, pages: int) -> None:
        self.calls.append(f"reserve {pages}")

    def clear(self) -> None:
        self._staged = 0

    def gather(self, pages: PageSet) -> int:
        if self.too_much:
            raise StagingLimitError("the staging limit")
        assert self.may_gather.wait(_PATIENCE_S)
        self._staged = max(self._staged, len(pages))
        self.calls.append(f"gather {len(pages)}")
        self.collected.set()
        return self._staged * PAGE_SIZE

    def check_holes(self) -> None:
        pass

    async def get_ready(self) -> None:
        self.calls.append("get_ready")

    async def stand_down(self) -> None:
        self.calls.append("stand_down")

    async def begin_save(self) -> float:
        self.calls.append("begin_save")
        return 0.0

    def go_on_when_saved(self) -> None:
        self.calls.append("go on")

    async def save(self) -> float:
        self.calls.append("save")
        return 0.0

    async def cont(self) -> float:
        """It takes its time, if sending may begin before it runs."""
        await anyio.lowlevel.checkpoint()
        self.calls.append("cont")
        if self.sent_meanwhile:
            await _until(lambda: "read_state" in self.calls)
        self.calls.append("runs")
        return 0.0

    async def read_state(self) -> bytes:
        if self.state is None:
            await anyio.sleep_forever()
        self.calls.append("read_state")
        await anyio.lowlevel.checkpoint()
        if not self.state:
            raise QemuError("the device state is too large", "")
        return self.state


async def test_the_agent_lives_on_while_the_vm_reads_what_it_was_given() -> None:
    relay, vm = _Relay(), _Vm()
    posted, sent = await _stopped(relay, vm)
    assert relay.read
    assert vm.calls == ["begin_save"]
    assert posted == [events.VmStopped()]
    assert sent == [messages.Plan(1, rest=False)]
    assert relay.tells_output is False


AHEAD = ["collect, stopped: False", "reserve 1250", "gather 1000"]


async def test_what_the_vm_has_written_is_copied_before_it_is_stopped_and_there_is_memory_for_more() -> None:
    vm = _Vm(tracker_kind="pagemap-scan")
    await _stopped(_Relay(), vm)
    assert vm.calls == [*AHEAD, "begin_save"]


@pytest.mark.parametrize("reason", [events.Reason.MEMORY, events.Reason.OUTPUT])
async def test_a_vm_that_writes_too_much_or_an_answer_that_waits_is_not_kept_until_then(
    reason: events.Reason,
) -> None:
    vm = _Vm(tracker_kind="pagemap-scan")
    await _stopped(_Relay(), vm, reason)
    assert vm.calls == ["begin_save"]


async def test_what_is_written_after_the_first_copy_is_copied_when_the_vm_stands_still() -> None:
    vm, relay = _Vm(tracker_kind="pagemap-scan"), _Relay()
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, relay, vm, posted, [])
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        relay.loop_lives.set()
        await _until(lambda: posted)
        pairing.feed(posted.pop(), 0)
        await _until(lambda: posted)
        await pairing.end()
    assert vm.calls == [*AHEAD, "begin_save", "collect, stopped: True", "gather 1"]
    assert posted == [events.PagesCollected(1000, 1000 * PAGE_SIZE)]


async def test_pages_are_collected_while_the_cut_waits_for_the_relay() -> None:
    vm = _Vm()
    relay = _Relay(until_cut=vm.collected)
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, relay, vm, posted, [])
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        pairing.feed(events.VmStopped(), 0)
        assert vm.collected.is_set()
        await _until(lambda: posted)
        await pairing.end()
    assert posted == [events.PagesCollected(1, PAGE_SIZE)]


@pytest.mark.parametrize("verify", [False, True])
async def test_the_vm_goes_on_by_itself_when_it_is_saved_unless_its_memory_is_hashed_before(
    verify: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    vm = _Vm(may_gather=threading.Event())
    config = _Config(checkpoint=CheckpointConfig(verify=verify))
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted := [], [], config=config)
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        pairing.feed(events.VmStopped(), 0)
        assert "go on" not in vm.calls
        vm.may_gather.set()
        await _until(lambda: posted)
        pairing.feed(posted.pop(), 0)
        assert ("go on" in vm.calls) is not verify
        await pairing.end()


async def test_a_peer_that_is_lost_before_the_stop_has_begun_lets_the_vm_run() -> None:
    vm = _Vm()
    roles: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted := [], [], roles.append)
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        pairing.feed(events.PeerLost("silent"), 0)
        await _until(lambda: posted)
        pairing.feed(posted.pop(), 0)
        await pairing.end()
    assert vm.calls == ["cont", "runs"]
    assert roles == [PeerLost("silent")]


async def test_what_cannot_be_copied_before_the_stop_ends_the_pairing_and_the_vm_runs_on() -> None:
    vm = _Vm(tracker_kind="pagemap-scan", too_much=True)
    roles: list[Any] = []
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted, [], roles.append)
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        for _ in range(2):
            await _until(lambda: posted)
            pairing.feed(posted.pop(), 0)
        await pairing.end()
    assert vm.calls[-2:] == ["cont", "runs"]
    assert "begin_save" not in vm.calls
    assert roles == [PeerLost("checkpoint 1 failed at stop: the staging limit")]


async def test_a_peer_that_is_lost_while_pages_are_collected_lets_the_vm_run_when_that_has_ended() -> None:
    """It cannot be interrupted, and what it takes from the tracker another pairing must not miss."""
    vm = _Vm(may_gather=threading.Event())
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted, [])
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        pairing.feed(events.VmStopped(), 0)
        pairing.feed(events.PeerLost("silent"), 0)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert "cont" not in vm.calls
        vm.may_gather.set()
        await _until(lambda: posted)
        await pairing.end()
    assert vm.calls == ["collect, stopped: True", "gather 1", "cont", "runs"]
    assert posted == [events.VmResumed()]


async def test_a_link_that_is_down_at_the_cut_ends_the_pairing_and_the_vm_runs_on() -> None:
    """A host that was frozen with its VM stopped: the relay knows before the loop that the link has ended."""
    vm = _Vm()
    roles: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(link_is_down=True), vm, posted := [], [], roles.append)
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        pairing.feed(events.VmStopped(), 0)
        (failed,) = posted
        posted.clear()
        pairing.feed(failed, 0)
        await _until(lambda: posted)
        pairing.feed(posted.pop(), 0)
        await pairing.end()
    assert vm.calls[-2:] == ["cont", "runs"]
    assert roles == [PeerLost("checkpoint 1 failed at cut: the link is not up")]


async def _until(there: Callable[[], object]) -> None:
    with anyio.fail_after(_PATIENCE_S):
        while not there():
            await anyio.lowlevel.checkpoint()  # `post` is a plain function, and nobody else tells


async def _stopped(
    relay: _Relay, vm: _Vm, reason: events.Reason = events.Reason.FIRST
) -> tuple[list[Any], list[messages.Message]]:
    """What the first step of a checkpoint posted and sent."""
    posted: list[Any] = []
    sent: list[messages.Message] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, relay, vm, posted, sent)
        if reason is not events.Reason.FIRST:
            pairing._make_machines(0)  # as if there had been a first one
        pairing.feed(events.Trigger(reason), 0)
        await anyio.lowlevel.checkpoint()
        relay.loop_lives.set()
        await _until(lambda: posted)
        await pairing.end()
    return posted, sent


def _pairing(
    tasks: TaskGroup,
    relay: _Relay,
    vm: _Vm,
    posted: list[Any],
    sent: list[messages.Message],
    tell_role: Callable[[Any], None] = lambda _: None,
    config: _Config | None = None,
) -> PrimaryPairing:
    pairing = PrimaryPairing(
        cast("Any", config or _Config()),
        cast("Any", relay),
        cast("Any", vm),
        Measures(),
        tasks,
        posted.append,
        tell_role=tell_role,
        send=sent.append,
        tell_round=lambda _: None,
    )
    pairing.work._staging = cast("Any", vm)
    return pairing


async def test_an_answer_that_began_to_wait_behind_a_cut_gets_the_next_checkpoint_at_once() -> None:
    """The machine takes what the policy asks for only when it is done with the one before."""
    relay = _Relay()
    config = _Config(checkpoint=CheckpointConfig(mode="epoch"))
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, relay, _Vm(), [], [], config=config)
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        assert relay.tells_output
        _finish_checkpoint(pairing, events.LoadedByPeer(1))
        assert pairing.machine is not None
        assert pairing.machine.trigger.reason is events.Reason.MODE
        pairing.output_waits(3, 0, only_acks=False)
        _finish_checkpoint(pairing, events.StoredByPeer(2))
        assert (pairing.machine.checkpoint, pairing.machine.trigger.reason) == (3, events.Reason.OUTPUT)
        tasks.cancel_scope.cancel()  # the steps whose reports were made up above


async def test_once_the_first_checkpoint_is_through_there_is_memory_for_the_next_ones() -> None:
    """Not before it: that would take a processor from the first copy. And once only."""
    vm, posted = _Vm(), list[Any]()
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(_set(threading.Event())), vm, posted, [])
        for number, reason in enumerate((events.Reason.FIRST, events.Reason.PERIOD), 1):
            pairing.feed(events.Trigger(reason), 0)
            while vm.calls.count("runs") < number or posted:
                await _until(lambda: posted)
                pairing.feed(posted.pop(0), 0)
            assert ("reserve 512" in vm.calls) == (number > 1)
            pairing.feed(events.ReceivedByPeer(number), 0)
            pairing.feed(events.LoadedByPeer(number), 0)
            await _until(lambda: "reserve 8192" in vm.calls)
        await pairing.end()
        tasks.cancel_scope.cancel()  # the states that are not there to be sent
    assert [call for call in vm.calls if "reserve" in call] == [f"reserve {n}" for n in range(512, 8193, 512)]


@define
class _NoSteps:
    """Their reports are made up."""

    def start(self, _name: str, _work: object) -> None:
        pass

    async def cancel(self) -> None:
        pass


async def test_qemu_is_ready_when_an_answer_is_expected_and_stands_down_when_the_pairing_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PrimaryWork, "begin_to_collect", lambda _: None)
    vm = _Vm()
    config = _Config(checkpoint=CheckpointConfig(mode="epoch"))
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, [], [], config=config)
        pairing._steps = cast("Any", _NoSteps())
        pairing.feed(events.Trigger(events.Reason.FIRST), 0)
        _finish_checkpoint(pairing, events.LoadedByPeer(1))
        pairing.output_waits(2, 0, only_acks=True)
        await anyio.wait_all_tasks_blocked()
        assert "get_ready" not in vm.calls, "the VM is about to stand still"
        _finish_checkpoint(pairing, events.StoredByPeer(2))
        pairing.output_waits(3, 0, only_acks=True)
        await _until(lambda: "get_ready" in vm.calls)
        assert pairing.machine is not None
        assert pairing.machine.may_prepare, "nothing has begun"
        for _ in range(2):
            pairing.feed(events.PeerLost("silent"), 0)
        await _until(lambda: "stand_down" in vm.calls)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert vm.calls.count("stand_down") == 1


def _finish_checkpoint(pairing: PrimaryPairing, end: events.LoadedByPeer | events.StoredByPeer) -> None:
    measure = pairing.work.measure
    assert measure is not None
    reports = (events.VmStopped(), events.PagesCollected(0, 0), events.StateSaved(), events.VmResumed())
    for report in reports:
        pairing.feed(report, 0)
    measure.phases_ms |= {"pause": 5.0, "resume": 1.0}
    pairing.feed(events.ReceivedByPeer(end.checkpoint), 0)
    pairing.feed(end, 0)


_SENT = (events.VmStopped(), events.PagesCollected(0, 0), events.StateSaved())


async def test_a_checkpoint_that_cannot_be_sent_lets_the_vm_run_and_then_gives_the_secondary_up() -> None:
    """Its failure is not that of the resumption, which goes on meanwhile: the VM is not given up."""
    vm = _Vm(state=b"")
    roles: list[Any] = []
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted, [], roles.append)
        for event in (events.Trigger(events.Reason.FIRST), *_SENT):
            pairing.feed(event, 0)
        await _until(lambda: {type(event) for event in posted} >= {events.PeerLost, events.VmResumed})
        for kind in (events.PeerLost, events.VmResumed):
            pairing.feed(next(event for event in posted if isinstance(event, kind)), 0)
        await pairing.end()
    assert roles == [PeerLost("checkpoint 1 cannot be sent: the device state is too large")]


async def test_of_a_pairing_that_has_ended_nothing_is_sent() -> None:
    vm = _Vm(state=b"QEVM")
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, posted, [])
        for event in (events.Trigger(events.Reason.FIRST), *_SENT):
            pairing.feed(event, 0)
        await _until(lambda: "read_state" in vm.calls)
        await pairing.end()
    assert not [event for event in posted if isinstance(event, events.PeerLost)]


@pytest.mark.parametrize(
    ("reason", "order"),
    [
        (events.Reason.PERIOD, ["cont", "runs", "read_state"]),
        (events.Reason.MEMORY, ["cont", "runs", "read_state"]),
        (events.Reason.OUTPUT, ["read_state", "cont", "runs"]),
        (events.Reason.MISMATCH, ["read_state", "cont", "runs"]),
    ],
)
async def test_what_nobody_waits_for_is_sent_when_the_vm_runs_and_else_at_once(
    reason: events.Reason, order: list[str]
) -> None:
    """It takes from the processors what the VM, which stands still, waits for."""
    vm = _Vm(state=b"QEVM", sent_meanwhile=reason.is_waited_for)
    async with anyio.create_task_group() as tasks:
        pairing = _pairing(tasks, _Relay(), vm, [], [])
        pairing._make_machines(0)
        for event in (events.Trigger(reason), *_SENT):
            pairing.feed(event, 0)
        await _until(lambda: {"read_state", "runs"} <= {*vm.calls})
        await pairing.end()
    assert [call for call in vm.calls if call in order] == order
