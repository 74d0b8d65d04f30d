"""The whole world, and what must hold in it at every moment.

- **The release rule**: an answer that leaves is in the history of whatever survives from here on.
- **One at a time**: only the node that holds the lease at the witness releases.
- **What the client sees**: a request is answered alike however often it is asked; no gap, nothing forgotten.
- **Never half**: a VM runs only on RAM and devices of one checkpoint (`vm.HalfStateError`).
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from colo.model.role import events as on
from colo.model.timing import Timing
from colo.sim.agent import Agent
from colo.sim.hosts import Host
from colo.sim.loop import MS, Loop
from colo.sim.network import End, Network
from colo.sim.primary_side import PrimarySide
from colo.sim.secondary_side import SecondarySide
from colo.sim.vm import covers
from colo.sim.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.model.checkpoint.primary_table import Resume

_REPEAT = 40 * MS
_THINK = 5 * MS
_TRACE = 400


class ViolationError(AssertionError):
    """An invariant does not hold."""


class World:
    """Everything from one seed. `flip`: how often a VM answers with something of its own. `rest`: the
    secondary's VM rests between checkpoints.
    """

    def __init__(
        self,
        seed: int,
        *,
        mode: Resume = "early",
        period: int = 100 * MS,
        rest: bool = False,
        flip: float = 0.02,
        timing: Timing | None = None,
    ) -> None:
        self.dice = Random(seed)  # noqa: S311  a simulation
        self.mode = mode
        self.period = period
        self.rest = rest
        self.flip = flip
        self.timing = timing or Timing()
        self.loop = Loop()
        self.network = Network(self.loop, self.dice)
        self.witness = Witness(self.loop, self.network, self.dice)
        self.hosts = {name: self._host(name) for name in "ab"}
        self.agents = {name: Agent(self, host) for name, host in self.hosts.items()}
        self.answers: list[int] = []
        self.steps = 0
        self.on_step: Callable[[int, Agent, bool], None] = lambda _number, _agent, _before: None
        self._failing: set[str] = set()
        self._hindered: dict[tuple[str, str], int | None] = {}
        self._trace: deque[tuple[int, str, object]] = deque(maxlen=_TRACE)
        self._client(0)

    def _host(self, name: str) -> Host:
        return Host(name, self.loop, self.dice.randint(-5000, 5000), self.dice.randint(0, 10**12))

    # --- what the agents use ---

    def other(self, host: Host) -> Host:
        """The other of the two."""
        return self.hosts["b" if host.name == "a" else "a"]

    def duration(self) -> int:
        """How long something takes this time."""
        return self.dice.randint(MS // 2, 6 * MS)

    def step_time(self, host: Host, step: str) -> int | None:
        """How long this step of a checkpoint takes there; None for ever."""
        return self._hindered.pop((host.name, step), self.duration())

    def fails(self, host: Host) -> bool:
        """Whether a step fails this time."""
        failing = host.name in self._failing
        self._failing.discard(host.name)
        return failing

    def dial(self, agent: Agent) -> None:
        """Connects to the other agent, if it can be reached."""
        peer = self.other(agent.host)
        if not (peer.alive and self.network.reaches(agent.host.name, peer.name)):
            return
        here, there = End.connect(self.network, self.loop, agent.host, peer)
        agent.adopt(here)
        agent.relay.send(agent.hello())
        peer.run("agent", lambda: self.agents[peer.name].accept(there))

    def stepping(self, agent: Agent, what: str, call: Callable[[], None]) -> None:
        """Each event of an agent passes here: a place to break something before and after it."""
        life = agent.host.life
        self.steps += 1
        number = self.steps
        self.note(agent.host.name, (agent.role.state, what))
        self.on_step(number, agent, True)  # noqa: FBT003  before
        if agent.host.alive and agent.host.life == life:
            call()
            self.on_step(number, agent, False)  # noqa: FBT003  after

    def note(self, who: str, what: object) -> None:
        """For the story that a failure tells."""
        self._trace.append((self.loop.now, who, what))

    def story(self) -> str:
        """What happened lately, a line for each event and each action."""
        return "\n".join(f"{now / MS:.3f} {who} {what}" for now, who, what in self._trace)

    # --- the client ---

    def _client(self, asked: int) -> None:
        request = len(self.answers) + 1
        for name, host in self.hosts.items():
            deliver = lambda name=name: self.agents[name].relay.uplink(request)  # noqa: E731
            self._carry_frame(host, deliver)
        wait = _REPEAT if request == asked else _THINK
        self.loop.after(wait, lambda: self._client(request))

    def _carry_frame(self, host: Host, deliver: Callable[[], None]) -> None:
        self.loop.after(self.network.delay(), lambda: host.run("relay", deliver))

    # --- what must hold ---

    def released(self, agent: Agent, request: int, value: int) -> None:
        """A frame leaves."""
        self._check_alone(agent)
        self._check_explained(agent, request, value)
        if request == len(self.answers) + 1:
            self.answers.append(value)
        elif not covers(self.answers, request, value):
            self.violated(f"{agent.host.name} answers {request} with another value, or leaves a gap")

    def _check_alone(self, agent: Agent) -> None:
        record = self.witness.record()
        if record is None or record.holder != agent.host.name or record.token != agent.role.token:
            self.violated(
                f"{agent.host.name} releases with token {agent.role.token}, the witness says {record}"
            )

    def _check_explained(self, agent: Agent, request: int, value: int) -> None:
        record = self.witness.record()
        peer = self.other(agent.host)
        if record is None or record.standby != peer.name or not peer.alive:
            return
        side = self.agents[peer.name].side
        history = side.history() if isinstance(side, SecondarySide) else None
        if history is not None and not covers(history, request, value):
            self.violated(f"{agent.host.name} releases answer {request}, which {peer.name} cannot explain")

    def promoted(self, agent: Agent) -> None:
        """A replica becomes the VM: it must know all that was ever said."""
        if agent.vm is None:
            return  # it has died, and the agent does not know yet
        if agent.vm.ram[: len(self.answers)] != self.answers:
            self.violated(f"{agent.host.name} is promoted and forgets answers")

    def violated(self, what: str) -> None:
        """Ends the run, with its story."""
        self.note("VIOLATED", what)
        raise ViolationError(self.story())

    # --- driving ---

    def run(self, milliseconds: int) -> None:
        """Lets time pass."""
        self.loop.run(self.loop.now + milliseconds * MS)

    def boot(self, node: str) -> None:
        """The operator starts the VM."""
        self.agents[node].feed(on.Boot())

    def reboot(self, node: str) -> None:
        """A crashed host comes back with an idle agent."""
        self.hosts[node].boot()
        self.agents[node] = Agent(self, self.hosts[node])

    def change_mode(self, *, rest: bool) -> None:
        """The policy of whoever protects the VM decides for epochs, or for lock-step."""
        self.rest = rest
        for agent in self.agents.values():
            if isinstance(agent.side, PrimarySide):
                agent.side.change_pace()

    def fail_next_step(self, node: str) -> None:
        """The next step of a checkpoint on that host fails; the next state that it sends arrives damaged."""
        self._failing.add(node)

    def hinder_next_step(self, node: str, step: str, takes: int | None) -> None:
        """The next step of that name on that host takes so many ns, or never ends."""
        self._hindered[node, step] = takes

    def states(self) -> dict[str, str]:
        """Of the agents that live."""
        return {name: agent.role.state.value for name, agent in self.agents.items() if agent.host.alive}
