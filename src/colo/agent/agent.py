"""Puts an agent together and runs it until it is told to end."""

from __future__ import annotations

import gc
import signal
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import anyio

from colo import _core
from colo.agent import captures
from colo.agent.captures import Captures
from colo.agent.duties import Duties
from colo.agent.handshake import Side
from colo.agent.inbox import Inbox
from colo.agent.journal import Journal
from colo.agent.link import Link
from colo.agent.loop import DecisionLoop
from colo.agent.measures import Measures
from colo.agent.protection import Protection
from colo.agent.relay_events import RelayEvents
from colo.agent.seen_token import SeenToken
from colo.agent.service import Service
from colo.agent.sockets import connections, listen
from colo.agent.uplinks import uplinks
from colo.api.endpoint import claim_run_dir
from colo.api.server import serve
from colo.errors import ColoError
from colo.hypervisor import probe, try_out
from colo.lock.client import LeaseClient
from colo.model.role.events import PrimaryJoined, Shutdown
from colo.model.role.machine import Role
from colo.model.role.states import State
from colo.model.timing import Timing
from colo.state import hold_folder

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from anyio.abc import TaskGroup

    from colo._core import Relay
    from colo.config import Config
    from colo.hypervisor import Platform
    from colo.model import messages

_END_S = 5.0


async def run(config: Config, *, boot: bool = False, capture: Path | None = None) -> None:
    """Runs until SIGTERM, SIGINT or the API's stop. `capture`: a folder for the frames around divergences.

    Raises ColoError when it cannot start or cannot go on.
    """
    if capture is not None:
        captures.prepare(capture)
    program = await probe(config.vm.qemu)  # a QEMU that is none is told before anything is made
    with ExitStack() as stack:
        control = stack.enter_context(claim_run_dir(config.agent.run_dir))
        platform = await try_out(config.vm, config.agent.run_dir, config.timing.qmp_timeout_ms, program)
        stack.enter_context(hold_folder(config.agent.state_dir, "give this VM its own agent.state_dir"))
        seen = SeenToken(config.agent.state_dir, config.vm.name)
        listener = stack.enter_context(closing(listen(config.agent.listen)))
        relay = _relay(config)
        stack.callback(relay.stop)
        async with uplinks(config, relay):
            await _serve(config, platform, relay, seen, control, listener, boot=boot, capture=capture)


async def _serve(
    config: Config,
    platform: Platform,
    relay: Relay,
    seen: SeenToken,
    control: socket.socket,
    listener: socket.socket,
    *,
    boot: bool,
    capture: Path | None,
) -> None:
    async with anyio.create_task_group() as tasks:
        agent = _assemble(config, platform, relay, seen, tasks)
        for task in (agent.loop.run, agent.end_on_signal, seen.keep):
            tasks.start_soon(task)
        tasks.start_soon(agent.accept_links, listener)
        if capture is not None:
            tasks.start_soon(
                agent.capture, Captures(relay, agent.loop.inbox, agent.loop.journal, capture, config.vm.name)
            )
        await tasks.start(serve, agent.service, control)
        # What is there by now stays: to look at all of it takes 13 ms, which may fall into a pause.
        gc.freeze()
        if boot:
            tasks.start_soon(agent.boot)
        await agent.service.stop.wait()
        await agent.end()
        tasks.cancel_scope.cancel()
    if agent.failure is not None:
        raise agent.failure


class _Agent:
    """The parts that only meet here."""

    def __init__(self, loop: DecisionLoop, link: Link, protection: Protection, service: Service) -> None:
        self.loop, self.link, self.protection, self.service = loop, link, protection, service
        self.failure: ColoError | None = None

    async def accept_links(self, listener: socket.socket) -> None:
        """Every connection goes to the relay for TLS, inside the decision loop."""
        async for descriptor in connections(listener):
            self.loop.inbox.post(lambda fd=descriptor: self.link.accept(fd))  # type: ignore[misc]

    async def capture(self, captures: Captures) -> None:
        """Writes the frames around divergences."""
        self.loop.relay_events.captures = captures
        await captures.keep()

    async def boot(self) -> None:
        """An agent that was to run the VM and cannot ends in an orderly way: its lease is given back."""
        try:
            await self.protection.boot()
        except ColoError as error:
            self.failure = error
            self.service.stop.set()

    async def end_on_signal(self) -> None:
        """SIGTERM and SIGINT end the agent in an orderly way."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self.service.stop.set()

    async def end(self) -> None:
        """Hands over or stops what runs here, then kills what is left."""
        self.loop.tell_role(Shutdown())
        with anyio.move_on_after(_END_S):
            while self.loop.role.state is not State.IDLE:
                await self.loop.changes.wait(_END_S)
        vm = self.loop.duties.vm
        if vm is not None:
            await vm.end("the agent ends")


def _relay(config: Config) -> Relay:
    return _core.Relay(
        nics=len(config.vm.nic),
        hold_ms=config.checkpoint.hold_limit_ms,
        held_mib=config.checkpoint.held_mib,
        heartbeat_ms=config.timing.heartbeat_ms,
        peer_timeout_ms=config.timing.peer_timeout_ms,
        stall_timeout_ms=config.timing.stall_timeout_ms,
        offloads=[number for number, nic in enumerate(config.vm.nic) if nic.has_offloads],
    )


def _assemble(config: Config, platform: Platform, relay: Relay, seen: SeenToken, tasks: TaskGroup) -> _Agent:
    inbox, journal = Inbox(), Journal(config.agent.node)
    timing = Timing(**{name: getattr(config.timing, name) for name in Timing.__annotations__})
    role = Role(config.agent.node, timing)
    witness = LeaseClient(
        config.witness.address,
        config.tls,
        config.agent.node,
        config.vm.name,
        witness_node=config.witness.node,
        deadline_s=config.timing.lease_renew_ms / 1000,
    )
    loop = DecisionLoop(config, relay, role, witness, seen, inbox, journal, tasks)

    def fits(side: Side, theirs: messages.Hello) -> None:
        loop.seen_token(theirs.node, theirs.token)
        if side is Side.SECONDARY:
            loop.step_role(PrimaryJoined(theirs.node))

    link = Link(
        config,
        platform,
        relay,
        _core.Tls(str(config.tls.ca), str(config.tls.cert), str(config.tls.key)),
        seen,
        token=lambda: role.token,
        may_join=lambda: role.may_join,
        fits=fits,
        failed=lambda error: protection.link_failed(error),  # noqa: PLW0108 - made below
    )
    protection = Protection(loop, link, tasks)
    duties = Duties(
        config,
        platform,
        relay,
        inbox,
        journal,
        Measures(),
        tasks,
        link,
        tell_role=loop.tell_role,
        tell_round=protection.copied,
        guard=loop.guard,
        now=_core.boottime_ns,
        hear_relay=loop.hear_relay,
    )
    loop.duties = duties
    loop.relay_events = RelayEvents(link, duties, journal, role, loop.step_role)
    return _Agent(loop, link, protection, Service(loop, protection, platform, anyio.Event()))
