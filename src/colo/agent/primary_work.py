"""What a checkpoint does on the primary, step by step, and how long each step takes.

`PrimaryPairing` says when; what a step raises is reported as its failure by whoever runs it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog
from attrs import define, field

from colo import _core
from colo.agent.precopy import Copied, PreCopy
from colo.agent.steps import FAILURES
from colo.model import messages
from colo.model.checkpoint import events
from colo.model.compression import Compression, Tally
from colo.model.convergence import Convergence

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Encoder, PageSet, Relay, Staging
    from colo.agent.local_vm import LocalVm
    from colo.agent.measures import CheckpointMeasure
    from colo.agent.memory_watch import MemoryWatch
    from colo.config import Config

_log = structlog.get_logger()
_MORE_BY_THEN = 4
"""The VM may write a quarter as much again until it is stopped."""
_ROOM_PAGES = 8192
"""32 MiB: several times what a busy VM writes between two checkpoints."""
_PIECE_PAGES = 512
"""A huge page. To find one may take the kernel 10 ms."""
_NOT_AHEAD = frozenset({events.Reason.MEMORY, events.Reason.OUTPUT})
"""The VM writes on meanwhile, or an answer waits and the last checkpoint is not long ago."""
_AT_ONCE_MS = 1
"""The event loop may wait that long for it."""
_DRAIN_MS = 50
"""How long the running VM may take to read the frames it was sent before it is stopped. What it has not read
by then goes to the secondary once more."""


@define(eq=False)
class PrimaryWork:
    """One pairing's: `fill` first, then checkpoint after checkpoint, each with a `measure` of its own."""

    config: Config
    relay: Relay
    vm: LocalVm
    say: Callable[[messages.Message], None]
    tell_round: Callable[[Copied], None]
    peer_started: anyio.Event = field(factory=anyio.Event)
    """The secondary's QEMU is there."""
    measure: CheckpointMeasure | None = None
    """Of the checkpoint in flight."""
    memory: MemoryWatch | None = None
    """Since the first checkpoint."""
    compression: Compression = field(init=False)
    _staging: Staging | None = None
    _backlog: PageSet | None = None
    _precopy: PreCopy | None = None
    _encoder: Encoder | None = None
    _ram_hash: int | None = None
    _few_left: bool = False
    """What was written before the stop is copied already."""

    def __attrs_post_init__(self) -> None:
        self.compression = Compression(self.config.checkpoint.encoding)

    # --- what is heard meanwhile ---

    def sent(self, checkpoint: int, tally: Tally) -> None:
        """The relay has sent a slice of the pre-copy (0), or all of a checkpoint."""
        if checkpoint == 0 and self._precopy is not None:
            self._precopy.slice_sent(tally)
        elif self.measure is not None and self.measure.checkpoint == checkpoint:
            self.measure.sent = tally

    def slowed(self, ms: float) -> None:
        """The VM was stopped for that long, to write less."""
        if self.measure is not None:
            self.measure.slowed(ms)

    def heard(self, event: events.PrimaryEvent) -> CheckpointMeasure | None:
        """Takes the time of what the machine is told; the measure, once the checkpoint is through."""
        if self.measure is None:
            return None
        match event:
            case events.ReceivedByPeer():
                self.measure.mark("commit")
                self.measure.received()
                if self.measure.sent is not None:
                    self.compression.sent(self.measure.sent, self.measure.link_ns)
                    self._watch.link(self.compression)
            case events.LoadedByPeer() | events.StoredByPeer():
                self.measure.mark("loaded")
            case events.VmResumed():
                self.measure.runs = True
            case _:
                pass
        if not self.measure.runs or "loaded" not in self.measure.phases_ms:
            return None
        done, self.measure = self.measure, None
        self._watch.through()
        return done

    # --- the steps ---

    async def fill(self) -> events.PrimaryEvent:
        """Step: the first copy, while the VM runs."""
        limit = self.config.checkpoint.max_staging_bytes
        shadow = self.compression.needs_shadow
        self._encoder = await anyio.to_thread.run_sync(partial(_core.Encoder, self.vm.ram, shadow=shadow))
        self._precopy = PreCopy(
            self.vm,
            self.relay,
            self._encoder,
            self.compression,
            Convergence(limit // _core.PAGE_SIZE, self.config.timing.checkpoint_timeout_ms / 2000),
            self.tell_round,
            self.peer_started,
            self.config.checkpoint.precopy_max_mib_s,
        )
        backlog = await self._precopy.run()
        self._staging = await anyio.to_thread.run_sync(_core.Staging, self.vm.ram, limit)
        await anyio.to_thread.run_sync(self._staging.reserve, _with_more(len(backlog)))
        self._backlog = backlog
        return events.Trigger(events.Reason.FIRST)

    async def make_room(self) -> None:
        """After the first checkpoint: memory for what most of the next ones will hold. Not before it: that
        would take a processor from the first copy, for 100 ms and more where the memory was in nobody's use.
        """
        for pages in range(_PIECE_PAGES, _ROOM_PAGES + 1, _PIECE_PAGES):
            await self._watch.hold()  # a checkpoint would wait for it, with the VM standing still
            try:
                await anyio.to_thread.run_sync(self._stage.reserve, pages)
            finally:
                self._watch.let_go()

    async def get_ready(self) -> None:
        """Has QEMU prepare for the next checkpoint. One that comes without is only slower."""
        try:
            await self.vm.hypervisor.get_ready()
        except FAILURES:
            _log.warning("QEMU cannot prepare for a checkpoint", exc_info=True)

    async def stand_down(self) -> None:
        """No checkpoint comes any more."""
        try:
            await self.vm.hypervisor.stand_down()
        except FAILURES:  # a QEMU that is dead, which its watcher is told
            _log.warning("QEMU stays prepared for a checkpoint", exc_info=True)

    async def stop(self, reason: events.Reason) -> events.VmStopped:
        """Step: the VM reads what it was given, and stands still; QEMU has begun to save it."""
        haste = reason is events.Reason.MEMORY  # it writes on meanwhile
        await self._watch.hold()
        self._stage.clear()
        self._few_left = False
        if reason not in _NOT_AHEAD and self.vm.tracker_kind == "pagemap-scan":
            with self._now.phase("ahead"):
                await anyio.to_thread.run_sync(self._copy_ahead)
            self._few_left = True
        with self._now.phase("drain"):
            # As a rule the VM has read everything: a thread to wait in takes longer than to find that out.
            if not self.relay.pause_ingress(0 if haste else _AT_ONCE_MS) and not haste:
                await anyio.to_thread.run_sync(self.relay.pause_ingress, _DRAIN_MS)
        with self._now.phase("prepare"):
            self._now.stopped = await self.vm.hypervisor.begin_save()
        return events.VmStopped()

    def _copy_ahead(self) -> None:
        """While the VM runs: only what it writes from here on is left for when it stands still. It also finds
        memory for that, and brings the page tables into the CPU's caches, where the next look is three times
        as fast.
        """
        written = self._written(stopped=False)
        self._stage.reserve(_with_more(len(written)))
        self._stage.gather(written)

    def go_on_when_saved(self) -> None:
        """The pause ends with the save, unless there is more to do in it."""
        if not self.config.checkpoint.verify:
            self.vm.hypervisor.go_on_when_saved()

    async def save(self) -> events.StateSaved:
        """Step: QEMU has saved it."""
        self._now.mark_stopped("save", await self.vm.hypervisor.save())
        if self.config.checkpoint.verify:
            # The last look: it would see a write after the pages were collected.
            with self._now.phase("verify"):
                self._ram_hash = await anyio.to_thread.run_sync(self.vm.ram.hash)
        return events.StateSaved()

    def begin_to_collect(self) -> asyncio.Future[int] | None:
        """What it has written is copied aside, in a thread; `collect` waits for it. None where only few pages
        can be left: `collect` does it then, sooner than a thread gets it.
        """
        if self._few_left:
            return None
        return asyncio.get_running_loop().run_in_executor(None, self._collect)

    async def collect(self, begun: asyncio.Future[int] | None) -> events.PagesCollected:
        """Step: all is copied aside."""
        if begun is None:
            size = self._collect()
        else:
            with anyio.CancelScope(shield=True):  # before it the VM must not run, nor another pairing begin
                size = await begun
        self._now.page_bytes = size
        self._now.pages = pages = size // _core.PAGE_SIZE
        self._watch.limit.cut(pages, _core.boottime_ns())
        return events.PagesCollected(pages, size)

    def _collect(self) -> int:
        with self._now.phase("collect"):
            self.vm.check_holes()
            return self._stage.gather(self._written(stopped=True))

    def _written(self, *, stopped: bool) -> PageSet:
        written = self.vm.tracker().collect(stopped=stopped)
        if self._backlog is not None:
            written = written.union(self._backlog)
            self._backlog = None
        return written

    async def resume(self, go_on: Callable[[], None], *, haste: bool) -> events.VmResumed:
        """Step: the VM runs. `go_on` is called then, or in haste at once: what it begins takes processors
        that QEMU needs for it.
        """
        if haste:
            go_on()
        try:
            with self._now.phase("resume"):
                runs_since = await self.vm.hypervisor.cont()
        finally:
            self.relay.resume_ingress()
            self._watch.let_go()
        self._now.mark_stopped("pause", runs_since)
        if not haste:
            go_on()
        return events.VmResumed()

    def hand_over(self, n: int, state: bytes) -> None:
        """Gives the checkpoint to the relay, which sends it."""
        assert self._encoder is not None
        self._now.state_bytes = len(state)
        if self._ram_hash is not None:
            self.say(messages.RamHash.of(n, self._ram_hash))
        # The relay need not wait for this loop to hear it; that comes to the same, a little later.
        self.relay.commit_when(n, messages.encode(messages.Received(n)))
        self._now.sending()
        self.relay.send_state(n, self._stage, state, self._encoder, self.compression.choose())

    @property
    def _stage(self) -> Staging:
        assert self._staging is not None
        return self._staging

    @property
    def _now(self) -> CheckpointMeasure:
        assert self.measure is not None
        return self.measure

    @property
    def _watch(self) -> MemoryWatch:
        assert self.memory is not None
        return self.memory


def _with_more(pages: int) -> int:
    return pages + pages // _MORE_BY_THEN
