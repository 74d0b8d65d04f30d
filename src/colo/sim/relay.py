"""The relay of one agent in miniature: forward, hold, compare, release, with the calls of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from colo.sim.link_messages import Cut, FrameIn, FrameOut, Heartbeat, State
from colo.sim.loop import MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.model.messages import Received
    from colo.model.timing import Timing
    from colo.sim.hosts import Host
    from colo.sim.network import End
    from colo.sim.vm import Vm

_HOLD_LIMIT = 100 * MS


@frozen
class _Held:
    epoch: int
    request: int
    value: int
    since: int


class Relay:
    """`report` takes what the real relay's `events()` gives, `release` is the wire to the client."""

    def __init__(
        self, host: Host, timing: Timing, report: Callable[..., None], release: Callable[[int, int], None]
    ) -> None:
        self.mode: Literal["closed", "alone", "primary", "secondary"] = "closed"
        self.vm: Vm | None = None
        self.incoming: State | None = None
        self.progress = 0
        self._host = host
        self._timing = timing
        self._report = report
        self._release = release
        self._link: End | None = None
        self._awaited: Received | None = None
        self._gate = 0
        self._paused: list[int] | None = None
        self._close_pairing()
        self._tick()

    def _close_pairing(self) -> None:
        self.epoch = 1
        self.committed = 0
        self.incoming = None
        self._cut: int | None = None
        self._after_cut: list[FrameIn | Cut] = []
        self._held: list[_Held] = []
        self._theirs: dict[tuple[int, int], int] = {}
        self._reported: set[int] = set()
        self._hold_from = 0

    # --- the link ---

    def attach_link(self, link: End) -> None:
        """The peer is heard from now on."""
        self._link, self._awaited = link, None
        self._heard = self._moved = self._host.clock()
        self._their_progress = -1
        link.attach(self._received, self._down)

    def detach_link(self, why: str) -> None:
        """Closes the link, if there is one."""
        if self._link:
            self._link.close(why)
            self._link = None

    def send(self, message: object, transfer: int = 0) -> None:
        """In order, behind all frames sent before."""
        if self._link:
            self._link.send(message, transfer)

    def _down(self, why: str) -> None:
        self._link = None
        self._report("link_down", why)

    def _received(self, message: object) -> None:
        self._heard = self._host.clock()
        match message:
            case Heartbeat(progress):
                if progress != self._their_progress:
                    self._their_progress, self._moved = progress, self._heard
            case FrameIn():
                self._frame_in(message)
            case FrameOut(epoch, request, value):
                self._theirs[epoch, request] = value
                self._compare()
            case Cut(checkpoint) if self._cut is None:
                self._cut = checkpoint
            case Cut():
                self._after_cut.append(message)
            case State(checkpoint, damaged=True):
                self._report("state_damaged", checkpoint)
            case State(checkpoint):
                self.incoming = message
                self._report("state_complete", checkpoint)
            case _:
                if self._awaited is not None and message == self._awaited:
                    self.commit(self._awaited.checkpoint)
                self._report("control", message)

    def _tick(self) -> None:
        self._host.after(self._timing.heartbeat_ms * MS, "relay", self._tick)
        if self._link:
            now = self._host.clock()
            self._link.send(Heartbeat(self.progress))
            if now - self._heard > self._timing.peer_timeout_ms * MS:
                self._report("silent")
            elif now - self._moved > self._timing.stall_timeout_ms * MS:
                self._report("stalled")
        self._check_hold()

    # --- frames ---

    def uplink(self, request: int) -> None:
        """A frame of the client."""
        if self._paused is not None:
            self._paused.append(request)
        elif self.vm and self.mode == "primary":
            self.send(FrameIn(request))
            self.vm.feed(request)
        elif self.vm and self.mode == "alone":
            self.vm.feed(request)

    def _frame_in(self, frame: FrameIn) -> None:
        if self._cut is not None:
            self._after_cut.append(frame)
        elif self.vm and self.mode == "secondary":
            self.vm.feed(frame.request)

    def output(self, request: int, value: int) -> None:
        """A frame of the VM."""
        if self.mode == "alone":
            self._out(request, value)
        elif self.mode == "primary":
            self._held.append(_Held(self.epoch, request, value, self._host.clock()))
            self._compare()
        elif self.mode == "secondary":
            self.send(FrameOut(self.epoch, request, value))

    def _out(self, request: int, value: int) -> None:
        if self._host.clock() < self._gate:
            self._release(request, value)

    def _compare(self) -> None:
        held, self._held = self._held, []
        for frame in held:
            theirs = self._theirs.get((frame.epoch, frame.request))
            comparable = theirs is not None and frame.epoch == self.committed + 1
            if frame.epoch <= self.committed or (comparable and theirs == frame.value):
                self._out(frame.request, frame.value)
                continue
            self._held.append(frame)
            if comparable:
                self._complain("divergence", frame.epoch)

    def _complain(self, event: str, epoch: int) -> None:
        if epoch not in self._reported:
            self._reported.add(epoch)
            self._report(event, epoch)

    def _check_hold(self) -> None:
        latest = self._host.clock() - _HOLD_LIMIT
        for frame in self._held:
            if frame.epoch == self.committed + 1 and max(frame.since, self._hold_from) < latest:
                self._complain("hold_limit", frame.epoch)

    # --- the calls of the agent ---

    def gate(self, until: int) -> None:
        """Nothing leaves from then on."""
        self._gate = until

    def pause_ingress(self) -> None:
        """Frames of the client wait."""
        self._paused = self._paused or []

    def resume_ingress(self) -> None:
        """What waited goes to the VM, after the cut."""
        paused, self._paused = self._paused or [], None
        for request in paused:
            self.uplink(request)

    def cut(self, checkpoint: int) -> None:
        """The VM's frames belong to the next epoch from here on. Raises RuntimeError: the link is down."""
        if self._link is None:
            raise RuntimeError("the link is not up")
        self.mode = "primary"
        self.epoch = checkpoint + 1
        self.send(Cut(checkpoint))

    def commit(self, checkpoint: int) -> None:
        """All of epochs up to this one may go."""
        self.committed = checkpoint
        self._theirs = {key: value for key, value in self._theirs.items() if key[0] > checkpoint}
        self._compare()

    def commit_when(self, said: Received) -> None:
        """Commits by itself when the peer says so over this link."""
        self._awaited = said

    def loaded(self) -> None:
        """Hold limits count from now at the earliest."""
        self._hold_from = self._host.clock()

    def alone(self) -> None:
        """Everything may go: nobody else can take over."""
        held = self._held
        self._close_pairing()
        self.mode = "alone"
        for frame in held:
            self._out(frame.request, frame.value)

    def begin_secondary(self, vm: Vm) -> None:
        """The VM is a replica: its frames go to the primary."""
        self._close_pairing()
        self.vm, self.mode = vm, "secondary"

    def enter_epoch(self, epoch: int) -> None:
        """Labels what the VM sends from here on."""
        self.epoch = epoch

    def stored(self, checkpoint: int) -> None:
        """What came before this cut is part of its checkpoint."""
        if Cut(checkpoint) in self._after_cut:
            del self._after_cut[: self._after_cut.index(Cut(checkpoint)) + 1]
            self._cut = checkpoint

    def deliver(self) -> None:
        """The frames after the cut go to the VM: the checkpoint is loaded, or will never come."""
        waiting, self._after_cut, self._cut = self._after_cut, [], None
        for entry in waiting:
            if isinstance(entry, FrameIn):
                self._frame_in(entry)

    def close(self) -> None:
        """Nothing in, nothing out."""
        self._close_pairing()
        self._paused = None
        self.vm, self.mode = None, "closed"
