"""What the relay thread reports, as events of the machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from colo.errors import CapabilityError
from colo.model import messages
from colo.model.checkpoint import events as checkpoint
from colo.model.compression import Tally
from colo.model.errors import PeerError
from colo.model.role import events as role

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.agent.captures import Captures
    from colo.agent.duties import Duties
    from colo.agent.journal import Journal
    from colo.agent.link import Link
    from colo.model.role.machine import Role

_PRINTABLE_DETAIL = 200


@define(eq=False)
class RelayEvents:
    """`take` is called by the decision loop, with one event tuple of `_core.Relay.events`."""

    link: Link
    duties: Duties
    journal: Journal
    machine: Role
    step_role: Callable[[role.Event], None]
    captures: Captures | None = None

    def take(self, event: tuple[Any, ...]) -> None:
        """Raises PeerError (the peer broke the protocol), LocalError, and CapabilityError when the relay is
        dead.
        """
        kind, *rest = event
        handler = getattr(self, f"_on_{kind}", None)
        if handler is None:
            raise AssertionError(f"the relay reports {kind!r}, which nobody here knows")
        handler(*rest)

    # --- the link ---

    def _on_link_up(self, _peer: str) -> None:
        self.link.came_up()

    def _on_link_down(self, why: str) -> None:
        agreed = self.link.agreed
        self.link.went_down(why)
        if agreed:
            self._peer_lost(f"the link is down: {why}")

    def _on_silent(self, ms: int) -> None:
        self._peer_lost(f"the peer is silent for {ms} ms")

    def _on_stalled(self, ms: int) -> None:
        self._peer_lost(f"the peer's agent decides nothing for {ms} ms, though its heart beats")

    def _on_control(self, payload: bytes) -> None:
        if not self.link.free:  # what a dropped link still brings is nobody's
            self._hear(messages.decode(payload))

    def _hear(self, message: messages.Message) -> None:
        match message:
            case messages.Hello():
                self.link.greet(message)
            case messages.Refused():
                self.link.refused(message)
            case messages.Goodbye(reason):
                self._peer_lost(f"the peer said goodbye: {reason}")
            case _ if not self.link.agreed:
                raise PeerError(f"{type(message).__name__} before the Hellos agreed")
            case messages.Ready():
                self._peer_ready()
            case messages.Started():
                self.duties.peer_started()
            case messages.Plan(n, rest):
                self.duties.to_replica(checkpoint.Planned(n, rest))
            case messages.RamHash(n):
                self.duties.announced(n, message.value)
            case messages.Received(n):
                self.duties.to_primary(checkpoint.ReceivedByPeer(n))
            case messages.Loaded(n):
                self.duties.to_primary(checkpoint.LoadedByPeer(n))
            case messages.Stored(n):
                self.duties.to_primary(checkpoint.StoredByPeer(n))
            case messages.Resign():
                self.step_role(role.PeerResigns())

    def _peer_ready(self) -> None:
        if self.machine.may_protect:
            self.step_role(role.SecondaryJoined(self.link.config.agent.peer_node))
        else:
            self.link.drop(f"no secondary is wanted now: {self.machine.why}")

    def _peer_lost(self, why: str) -> None:
        self.link.drop(why)
        self.journal.note("peer-lost", why)
        self.step_role(role.PeerLost(why))

    # --- comparison and checkpoints ---

    def _on_divergence(self, _nic: int, flow: str, kind: str, detail: str, ms: int, epoch: int) -> None:
        text = f"{flow}: {kind} {detail}"[:_PRINTABLE_DETAIL]
        self._diverged("divergence", text)
        self.duties.to_primary(checkpoint.Trigger(checkpoint.Reason.MISMATCH, text, ms, epoch))

    def _on_hold_limit(self, _nic: int, flow: str, ms: int, epoch: int) -> None:
        text = f"{flow}: no twin for {ms} ms"
        self._diverged("hold-limit", text)
        self.duties.to_primary(checkpoint.Trigger(checkpoint.Reason.HOLD_LIMIT, text, ms, epoch))

    def _on_output(self, epoch: int, only_acks: bool) -> None:  # noqa: FBT001 - the relay's event
        self.duties.output_waits(epoch, only_acks=only_acks)

    def _diverged(self, kind: str, text: str) -> None:
        self.journal.note(kind, text)
        if self.captures is not None:
            self.captures.noticed(text)

    def _on_queue_limit(self, held: int) -> None:
        self.duties.to_primary(checkpoint.Trigger(checkpoint.Reason.QUEUE_LIMIT, f"{held} bytes are held"))

    def _on_sent(self, n: int, tally: dict[str, int]) -> None:
        if self.duties.primary is not None:
            self.duties.primary.work.sent(n, Tally(**tally))

    def _on_state_complete(self, n: int, _pages: int, _bytes: int) -> None:
        self.duties.to_replica(checkpoint.StateComplete(n))

    def _on_state_damaged(self, n: int, why: str) -> None:
        self.duties.to_replica(checkpoint.StateDamaged(n, why))

    # --- ports ---

    def _on_vm_closed(self, nic: int) -> None:
        # QEMU has closed it: either it is dead, which its pidfd tells, or it is going to be.
        self.journal.note("nic-closed", f"QEMU closed the socket of nic {nic}")

    def _on_uplink_closed(self, nic: int) -> None:
        self.journal.note("uplink-closed", f"the uplink of nic {nic} is gone")

    def _on_gate_closed(self) -> None:
        self.journal.note("gate-closed", "output is closed: the lease has run out")

    def _on_fatal(self, why: str) -> None:
        raise CapabilityError(
            f"the relay thread ended: {why}", "the agent ends; its VM's output has ended already"
        )
