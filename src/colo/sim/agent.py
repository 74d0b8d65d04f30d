"""An agent in miniature: the adapter around the role machine and the witness. See `primary_side.py` and
`secondary_side.py` for the checkpoints.

It shows what the real one must do: queue events and feed them one by one; carry actions out in order; one
timer per machine; close the link on PeerError.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from colo.model import messages
from colo.model.errors import NotNowError, PeerError
from colo.model.role import actions as do
from colo.model.role import events as on
from colo.model.role import lease as ask
from colo.model.role.machine import Action, Role
from colo.sim.lease_traffic import LeaseTraffic
from colo.sim.loop import MS
from colo.sim.primary_side import PrimarySide
from colo.sim.relay import Relay
from colo.sim.secondary_side import SecondarySide
from colo.sim.vm import Vm

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.sim.hosts import Host
    from colo.sim.network import End
    from colo.sim.world import World

_DIAL = 100 * MS
_START = 10
"""Times as long as a step takes a hypervisor to start: the first copy may be over before or after it."""
_LIMITS = {"divergence", "hold_limit"}


class Agent:
    """One life of an agent's process. `world` gives time, links, the witness, and the checks."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self.vm: Vm | None = None
        self.role = Role(host.name, world.timing)
        self.side: PrimarySide | SecondarySide | None = None
        self.relay = Relay(host, world.timing, self._relay_event, lambda i, v: world.released(self, i, v))
        self.linked = False
        self._events: deque[Callable[[], None]] = deque()
        self.leases = LeaseTraffic(world, host, self.feed)
        self._armed: int | None = None
        self._stay_alive()

    # --- feeding ---

    def feed(self, event: on.Event | ask.LeaseAnswer) -> None:
        """Queues an event for the role machine."""
        self.soon(lambda: self._carry_out(self.role.step(event, self.host.clock())), type(event).__name__)

    def operator(self, request: on.Boot | on.Failover | on.Shutdown) -> None:
        """What the operator asks for may not fit the state: then nothing happens."""

        def ask() -> None:
            try:
                self._carry_out(self.role.step(request, self.host.clock()))
            except NotNowError as error:
                self.world.note(self.host.name, error)

        self.soon(ask, type(request).__name__)

    def soon(self, call: Callable[[], None], what: str) -> None:
        """Events wait for those before them, and for all of their actions."""
        self._events.append(lambda: self.world.stepping(self, what, call))
        if len(self._events) == 1:
            while self._events and self.host.alive:
                self._events[0]()
                self._events.popleft()

    def _carry_out(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            self.world.note(self.host.name, action)
            self._do(action)
        self._arm()

    def _arm(self) -> None:
        due, armed = self.role.next_timer(), self._armed
        self._armed = due
        if due is not None and due != armed:
            self.host.after(self.host.until(due), "agent", self._on_timer)

    def _on_timer(self) -> None:
        self._armed = None
        self.soon(lambda: self._carry_out(self.role.handle_timer(self.host.clock())), "timer")

    # --- the role's actions ---

    def _do(self, action: Action) -> None:
        match action:
            case ask.SetGate(until):
                self.relay.gate(until)
            case ask.AcquireLease() | ask.RenewLease() | ask.NameStandby() | ask.ReleaseLease():
                self.leases.send(action)
            case do.StartVm():
                self.relay.vm = self.vm = self.new_vm()
                self.relay.mode = "alone"
                self.vm.resume()
            case do.StartSync():
                self.side = PrimarySide(self)
            case do.StartReplica():
                self._start_replica()
            case do.EndPairing(why):
                if self.side:
                    self.side.end(why)
            case do.DropLink(why):
                self.drop_link(why)
            case do.RunAlone():
                self.relay.alone()
            case do.ContinueVm():
                if self.vm:
                    self.vm.resume()
            case do.Promote():
                self.side = None
                self.world.promoted(self)
                self.relay.alone()
            case do.StopVm():
                self._stop_vm()
            case do.DropVm(why):
                self._drop_vm(why)
            case do.AskToResign():
                self.relay.send(messages.Resign())

    def _start_replica(self) -> None:
        """The cache can be filled at once; the hypervisor takes its time."""
        self.vm = self.new_vm()
        self.relay.begin_secondary(self.vm)
        side = self.side = SecondarySide(self)
        self.relay.send(messages.Ready())
        takes = self.world.step_time(self.host, "start")
        if takes is not None:
            self.host.after(takes * _START, "agent", lambda: self.soon(side.start, "started"))

    def new_vm(self) -> Vm:
        """A VM that sends its frames to the relay."""
        return Vm(self.world.dice, self.world.flip, self.relay.output)

    def _stop_vm(self) -> None:
        self._discard_side()
        vm = self.vm

        def stopped() -> None:
            if vm is self.vm and vm:
                vm.stop()
                self.feed(on.VmStopped())

        self.host.after(self.world.duration(), "agent", stopped)

    def _drop_vm(self, why: str) -> None:
        self._discard_side()
        self.relay.close()
        self.vm = None
        self.host.after(self.world.duration(), "agent", lambda: self.feed(on.VmDied(why)))

    def _discard_side(self) -> None:
        if self.side:
            self.side.discard()
        self.side = None

    def vm_died(self) -> None:
        """Fault: QEMU is gone."""
        if self.vm:
            self.vm.stop()
            self.vm = self.relay.vm = None
            self.host.after(MS, "agent", lambda: self.feed(on.VmDied("killed")))

    # --- the peer ---

    def _stay_alive(self) -> None:
        self.relay.progress += 1
        self.host.after(_DIAL, "agent", self._stay_alive)
        if self.role.may_protect and not self.linked:
            self.world.dial(self)

    def hello(self) -> messages.Hello:
        """What this agent says first."""
        shape = messages.VmShape("vm", 256, 1, "pc-q35-7.2", "qemu64", (), (), "7.2", "tcg", "", "", "")
        return messages.Hello(messages.PROTOCOL, "0", self.host.name, self.role.token, shape)

    def accept(self, link: End) -> None:
        """The other agent dialled."""
        if not self.linked:
            self.adopt(link)
            self.relay.send(self.hello())

    def adopt(self, link: End) -> None:
        """From here on this is the link."""
        self.linked = True
        self.relay.attach_link(link)

    def drop_link(self, why: str) -> None:
        """Says Goodbye, as far as it still can be heard."""
        self.relay.send(messages.Goodbye(why))
        self.relay.detach_link(why)
        self.linked = False

    def _control(self, message: object) -> None:
        match message:
            case messages.Hello(node=node, token=token):
                if token > self.role.token > 0:
                    self.feed(on.HigherToken(node, token))
                elif token and self.role.may_join:
                    self.feed(on.PrimaryJoined(node))
                elif token:
                    self.drop_link("not now")
            case messages.Ready():
                self._ready()
            case messages.Started() if isinstance(self.side, PrimarySide):
                self.side.peer_started()
            case messages.Plan() if isinstance(self.side, SecondarySide):
                self.side.planned(message)
            case messages.Received() | messages.Loaded() | messages.Stored() if isinstance(
                self.side, PrimarySide
            ):
                self.side.message(message)
            case messages.Resign():
                self.feed(on.PeerResigns())
            case messages.Goodbye(reason):
                self.lost(reason)

    def _ready(self) -> None:
        if self.role.may_protect:
            self.feed(on.SecondaryJoined(self.world.other(self.host).name))
        else:
            self.drop_link("not now")

    def lost(self, why: str) -> None:
        """The peer is lost, or not to be trusted."""
        if self.linked:
            self.drop_link(why)
            self.feed(on.PeerLost(why))

    def _relay_event(self, kind: str, *details: object) -> None:
        self.host.run("agent", lambda: self.soon(lambda: self._on_relay(kind, details), kind))

    def _on_relay(self, kind: str, details: tuple[Any, ...]) -> None:
        try:
            if kind == "control":
                self._control(details[0])
            elif kind in ("link_down", "silent", "stalled"):
                self.lost(kind)
            elif kind in _LIMITS and isinstance(self.side, PrimarySide):
                self.side.trigger(kind, details[0])
            elif isinstance(self.side, SecondarySide):
                self.side.arrived(kind, details[0])
        except PeerError as error:
            self.lost(str(error))
