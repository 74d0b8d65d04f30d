"""Two agents and a witness as separate processes on hosts of their own, the guest they protect, and a
client's host.
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, asynccontextmanager, suppress
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.to_thread
from attrs import Factory, define, frozen

from colo.api.client import AgentClient
from colo.errors import AgentUnreachableError, ColoError
from colo.hypervisor.leftover import end_leftover
from colo.lab.namespaces import BRIDGE, Network, Port
from colo.lab.process import HostProcess, Stranger
from colo.lab.records import WatchedClient
from colo.lab.settings import GUEST_ADDRESS, WITNESS_PORT, agent_toml
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import TracebackType

    from colo.api.service import CheckpointReport, Progress, Status
    from colo.lab.impairment import Impairment
    from colo.lab.namespaces import Cable

HOSTS = ("alpha", "beta")
CLIENT, WITNESS = "client", "witness"
MANAGEMENT = {"alpha": "10.99.0.1", "beta": "10.99.0.2", WITNESS: "10.99.0.3"}
CLIENT_ADDRESS, CLIENT_ADDRESS6 = "10.77.0.1", "fd77::1"
_END_S = 5.0
_START_S = 30.0
_BOOT_S = 60.0
_POLL_S = 0.05


def other(host: str) -> str:
    """The other one of the two."""
    return HOSTS[1 - HOSTS.index(host)]


@frozen
class Guest:
    """The bootable files of the guest and the QEMU to run it with."""

    kernel: Path
    initrd: Path
    qemu: Path


@frozen
class Options:
    """What differs from the defaults of a pair: keys of `[vm]`, `[checkpoint]` and `[timing]`, flags."""

    vm: dict[str, Any] = Factory(dict)
    vm_of: dict[str, dict[str, Any]] = Factory(dict)
    """Keys of `[vm]` of one host only."""
    checkpoint: dict[str, Any] = Factory(dict)
    timing: dict[str, Any] = Factory(dict)
    flags: tuple[str, ...] = ()
    """Of every `colo agent`."""
    backend: str = "stream"
    """Of the network card."""
    cable: Cable | None = None
    """The client's, if not a good one."""
    link: Impairment | None = None
    """The first host's to the management network, which the link takes."""


@define
class Host:
    """A host with its agent; its QEMU is remembered, to kill or freeze the whole host at once."""

    name: str
    config: Path
    agent: HostProcess
    qemu: Stranger | None = None

    def runs(self, qemu_pid: int | None) -> None:
        """What its agent says now."""
        if self.qemu is not None:
            self.qemu.close()
        self.qemu = None
        if qemu_pid is not None:
            with suppress(ProcessLookupError):  # it has ended since
                self.qemu = Stranger(qemu_pid)

    def strike(self, number: signal.Signals) -> None:
        """Kills or freezes everything of the host, QEMU first: nothing is left to say goodbye."""
        if self.qemu is not None:
            self.qemu.signal(number)
        if self.agent.ended() is None:
            self.agent.signal(number)


def topology(cable: Cable | None = None, link: Cable | None = None) -> dict[str, tuple[Port, ...]]:
    """The hosts of the laboratory and their cables: the client's, and the first host's on the management
    network, so that all between the two hosts takes it.
    """
    management = {name: IPv4Interface(f"{address}/24") for name, address in MANAGEMENT.items()}
    cables = dict.fromkeys(HOSTS) | {HOSTS[0]: link}
    hosts: dict[str, tuple[Port, ...]] = {
        name: (
            Port("lan", "lan0", bridge=BRIDGE),
            Port("mgmt", "mgmt0", (management[name],), cable=cables[name]),
        )
        for name in HOSTS
    }
    hosts[WITNESS] = (Port("mgmt", "mgmt0", (management[WITNESS],)),)
    addresses = (IPv4Interface(f"{CLIENT_ADDRESS}/24"), IPv6Interface(f"{CLIENT_ADDRESS6}/64"))
    hosts[CLIENT] = (Port("lan", "lan0", addresses, cable=cable),)
    return hosts


class Pair:
    """The whole laboratory as an async context: everything is started inside and gone after it. With `boot`
    the first host runs the VM from the start, unprotected; else a guest boots when it is protected first.
    """

    def __init__(
        self, folder: Path, guest: Guest, options: Options | None = None, *, boot: bool = False
    ) -> None:
        self.folder = folder
        self._boot = boot
        self._guest = guest
        self._options = options or Options()
        self._stack = ExitStack()
        self.network = Network(topology(self._options.cable, self._options.link))
        self.hosts: dict[str, Host] = {}

    async def __aenter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            # pyroute2's synchronous interface runs an event loop of its own: not inside ours.
            await anyio.to_thread.run_sync(self.network.__enter__)
            stack.push(self.network)
            self._certificates()
            self._start_witness()
            for name in HOSTS:
                self._spawn_agent(name, boot=self._boot and name == HOSTS[0])
            for name in HOSTS:
                await self._until_it_answers(self.hosts[name])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, host in self.hosts.items():
            host.strike(signal.SIGKILL)
            host.runs(None)
            await anyio.to_thread.run_sync(end_leftover, self.folder / name / "run" / "vm")
        self._stack.close()

    # --- processes ---

    def run(self, host: str, name: str, *argv: str) -> HostProcess:
        """Starts a Python module's command on a host; its output goes to `name`.log."""
        command = (sys.executable, "-m", *argv)
        return self._stack.enter_context(
            HostProcess(self.network, host, command, self.folder / f"{name}.log")
        )

    def client(self, name: str, kind: str, *arguments: str, address: str = GUEST_ADDRESS) -> WatchedClient:
        """One of `colo.lab.clients` against the guest, on the client's host."""
        return WatchedClient(name, self.run(CLIENT, name, "colo.lab.clients", kind, address, *arguments))

    async def start_agent(self, name: str) -> Host:
        """Starts an agent again: a host that comes back begins with nothing."""
        self.hosts[name].runs(None)
        self._spawn_agent(name, boot=False)
        await self._until_it_answers(self.hosts[name])
        return self.hosts[name]

    def _spawn_agent(self, name: str, *, boot: bool) -> None:
        config = self.folder / f"{name}.toml"
        config.write_text(agent_toml(self.folder, name, other(name), MANAGEMENT, self._guest, self._options))
        flags = (*(("--boot",) if boot else ()), *self._options.flags)
        process = self.run(name, f"agent-{name}", "colo", "agent", *flags, str(config))
        self.hosts[name] = Host(name, config, process)

    async def _until_it_answers(self, host: Host) -> None:
        with anyio.fail_after(_START_S):
            while not await self._answers(host):
                await anyio.sleep(_POLL_S)  # nobody tells when a socket file appears

    def _certificates(self) -> None:
        create_authority(self.folder)
        for node in (*HOSTS, WITNESS):
            issue_node(self.folder, node)

    def _start_witness(self) -> None:
        files = (f"--{name}={self.folder / file}" for name, file in _witness_files().items())
        listen = f"--listen={MANAGEMENT[WITNESS]}:{WITNESS_PORT}"
        state = f"--state-dir={self.folder / WITNESS / 'state'}"
        self.run(WITNESS, WITNESS, "colo", "witness", listen, state, *files)

    # --- asking the agents ---

    @asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[AgentClient]:
        """The API of a host's agent."""
        async with AgentClient(self.folder / name / "run") as client:
            yield client

    async def status(self, name: str) -> Status:
        """Of one agent; remembers its QEMU, so that the host can be struck."""
        async with self.agent(name) as client:
            status = await client.status()
        self.hosts[name].runs(status.qemu_pid)
        return status

    async def protect(self, name: str) -> AsyncIterator[Progress]:
        """Has this agent run the VM and protect it; ends when it is protected."""
        async with self.agent(name) as client:
            async for progress in client.protect():
                yield progress
        for host in HOSTS:
            await self.status(host)

    async def protected(self, name: str = HOSTS[0]) -> None:
        """Protects the VM; its guest answers before that, or boots in lock-step and answers after it."""
        if self._boot:
            await self.guest_answers()
        async for _ in self.protect(name):
            pass
        if not self._boot:
            await self.guest_answers()

    async def guest_answers(self, address: str = GUEST_ADDRESS) -> None:
        """Waits until the guest's services answer the client; over IPv6 some seconds later (DAD)."""
        process = self.client(f"boot-{address}", "await-guest", address=address).process
        if await anyio.to_thread.run_sync(process.wait, 2 * _BOOT_S) != 0:
            raise ColoError("the guest does not answer", f"read {process.log}")

    async def checkpoint(self, name: str = HOSTS[0]) -> CheckpointReport:
        """Takes one now."""
        async with self.agent(name) as client:
            return await client.checkpoint()

    def kill(self, name: str) -> None:
        """The host dies, with everything on it."""
        self.hosts[name].strike(signal.SIGKILL)
        self.hosts[name].agent.wait(_START_S)

    async def until(self, name: str, state: str, seconds: float = 20.0) -> Status:
        """Waits until an agent's state is this one. One that has ended is told with its exit status."""
        try:
            with anyio.fail_after(seconds):
                while (status := await self.status(name)).state != state:
                    await anyio.sleep(_POLL_S)  # an agent that dies meanwhile is noticed by asking again
        except AgentUnreachableError as error:
            # Its socket is closed a moment before it has ended.
            code = await anyio.to_thread.run_sync(self.hosts[name].agent.wait, _END_S)
            raise ColoError(f"the agent of {name} ended with {code}", f"read agent-{name}.log") from error
        return status

    async def _answers(self, host: Host) -> bool:
        if host.agent.ended() is not None:
            raise ColoError(f"the agent of {host.name} ended: {host.agent.log.read_text()[-2000:]}", "")
        try:
            await self.status(host.name)
        except AgentUnreachableError:
            return False
        return True


def _witness_files() -> dict[str, str]:
    return {"ca": "ca.pem", "cert": f"{WITNESS}.pem", "key": f"{WITNESS}.key"}
