"""The Hello, as either side takes it; the relay is played."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from colo import __version__
from colo.agent.handshake import Side
from colo.agent.link import Link
from colo.agent.relay_events import RelayEvents
from colo.agent.seen_token import SeenToken
from colo.config import NicConfig, UnixUplink, VmConfig
from colo.errors import ColoError, PeerIncompatibleError, PeerUnreachableError, RefusedError
from colo.hypervisor import Inventory, Platform, QemuProgram
from colo.model import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEN = 5


@attrs.define
class PlayedRelay:
    said: list[messages.Message] = attrs.field(factory=list)
    attached: bool = False

    def attach_link(self, _fd: int, _tls: Any, _peer: str, *, server: bool) -> None:
        assert server
        self.attached = True

    def detach_link(self) -> None:
        self.attached = False

    def send(self, payload: bytes) -> None:
        self.said.append(messages.decode(payload))


@attrs.define
class Agent:
    agent: Any
    vm: VmConfig


@attrs.define
class Names:
    node: str = "beta"
    peer_node: str = "alpha"


@attrs.define
class Scene:
    """Beta, to which alpha has connected: beta is going to be the secondary."""

    relay: PlayedRelay
    link: Link
    agreed: list[Side]
    failures: list[ColoError]


@pytest.fixture
def vm(tmp_path: Path) -> VmConfig:
    nic = NicConfig("52:54:00:c0:10:01", UnixUplink(tmp_path / "uplink.sock"))
    return VmConfig("web", 64, (nic,))


@pytest.fixture
def scene(tmp_path: Path, vm: VmConfig) -> Iterator[Scene]:
    relay, agreed, failures = PlayedRelay(), [], []  # type: ignore[var-annotated]
    seen = SeenToken(tmp_path, "web")
    seen.see(SEEN)
    config: Any = Agent(Names(), vm)
    tls: Any = None
    played: Any = relay
    link = Link(
        config,
        Platform(QemuProgram("qemu", (7, 2, 22), frozenset()), "tcg", Inventory("pc-q35-7.2", "", "", "")),
        played,
        tls,
        seen,
        token=lambda: 0,
        may_join=lambda: True,
        fits=lambda side, _: agreed.append(side),
        failed=failures.append,
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link.accept(os.dup(ours.fileno()))
        assert [type(message) for message in relay.said] == [messages.Hello], "nobody waits to be greeted"
        link.came_up()
        yield Scene(relay, link, agreed, failures)


def hello(vm: VmConfig, **changes: Any) -> messages.Hello:
    shape = messages.VmShape(
        vm.name,
        vm.memory_mib,
        vm.cpus,
        "pc-q35-7.2",
        vm.cpu,
        (vm.nic[0].mac,),
        ("stream",),
        "7.2.22",
        "tcg",
        cpuid="",
        devices="",
        memory="",
    )
    return attrs.evolve(messages.Hello(messages.PROTOCOL, __version__, "alpha", SEEN, shape), **changes)


@pytest.mark.parametrize("token", [SEEN, SEEN + 1])
def test_a_primary_whose_token_is_not_below_the_highest_seen_is_taken(
    scene: Scene, vm: VmConfig, token: int
) -> None:
    scene.link.greet(hello(vm, token=token))
    assert (scene.agreed, scene.failures, scene.link.agreed) == ([Side.SECONDARY], [], True)


@pytest.mark.parametrize("token", [0, SEEN - 1])
def test_a_primary_that_was_deposed_is_refused_and_told(scene: Scene, vm: VmConfig, token: int) -> None:
    scene.link.greet(hello(vm, token=token))
    refused = scene.relay.said[-1]
    assert isinstance(refused, messages.Refused)
    assert refused.code == RefusedError.exit_code
    assert f"token {token} of the lease, but {SEEN} was seen" in refused.reason
    assert (scene.agreed, scene.link.free, scene.relay.attached) == ([], True, False)


def test_a_peer_that_differs_is_told_every_difference(scene: Scene, vm: VmConfig) -> None:
    other = hello(attrs.evolve(vm, memory_mib=128), version="0.0.9")
    scene.link.greet(other)
    (failure,) = scene.failures
    assert isinstance(failure, PeerIncompatibleError)
    assert "version: '0.1.0' here, '0.0.9' at the peer" in failure.message
    assert "vm.memory_mib: 64 here, 128 at the peer" in failure.message
    assert scene.link.free


def test_what_is_not_understood_before_the_hellos_agree_is_another_program(scene: Scene) -> None:
    scene.link.offended("the peer speaks protocol '2', this agent 1")
    (failure,) = scene.failures
    assert isinstance(failure, PeerIncompatibleError)
    assert "protocol '2'" in failure.message
    assert scene.link.free
    assert isinstance(scene.relay.said[-1], messages.Goodbye)


def test_an_offence_later_is_the_role_machines_to_judge(scene: Scene, vm: VmConfig) -> None:
    scene.link.greet(hello(vm))
    scene.link.offended("a Hello out of turn")
    assert (scene.failures, scene.link.free) == ([], True)
    assert scene.link.why == "a Hello out of turn"


def test_a_link_that_ends_before_the_hellos_agree_has_failed(scene: Scene) -> None:
    scene.link.went_down("the peer's certificate is of another authority")
    (failure,) = scene.failures
    assert isinstance(failure, PeerUnreachableError)
    assert "another authority" in failure.message


def test_a_second_link_is_closed_and_the_first_one_stays(scene: Scene) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        scene.link.accept(ours.detach())
        assert theirs.recv(1) == b"", "closed"
    assert scene.relay.attached


def test_the_reason_of_a_drop_is_kept_when_the_connection_ends(scene: Scene, vm: VmConfig) -> None:
    scene.link.greet(hello(vm))
    scene.link.drop("the peer said goodbye: no memory")
    scene.link.went_down("closed by the peer")
    assert (scene.link.why, scene.failures) == ("the peer said goodbye: no memory", [])


def test_what_a_link_that_was_dropped_still_brings_changes_nothing(scene: Scene, vm: VmConfig) -> None:
    nobody: Any = None
    relay_events = RelayEvents(scene.link, nobody, nobody, nobody, nobody)
    differs = hello(attrs.evolve(vm, memory_mib=128))
    for message in (differs, messages.Refused("beta does not fit either", 7), messages.Ready()):
        relay_events.take(("control", messages.encode(message)))
    (failure,) = scene.failures
    assert isinstance(failure, PeerIncompatibleError)
    assert failure.message.startswith("alpha does not fit")
