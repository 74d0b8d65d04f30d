"""One host and what its operator can get wrong: every error is told with its own exit code, and nothing half
done is left.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from outside import (
    LOOPBACK,
    LoneHost,
    abandoned,
    colo,
    fill,
    free_port,
    memory_files,
    processes,
    running,
    sockets,
    tmpfs,
    witness_command,
)

from colo.config import VmConfig
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

SHARED = Path("/dev/shm")  # noqa: S108 - the place that the product falls back to
NO_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
TAP = f"bad{os.getpid()}"


MISTAKES = """
  agent.peer_node: 7 is not a string; it must be: node name in lower case, like alpha or host-2.example
  vm.memory_mib: 8 is out of range; it must be: integer, 16 to 1048576
  vm.nic[0].mac: '52:54:00:00:01' does not have this form; it must be: MAC address like 52:54:00:c0:10:01
  vm.color: unknown key; known here: {known}
  vm.machin: unknown key; did you mean 'machine'?
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    create_authority(folder)
    for node in ("alpha", "beta", "witness"):
        issue_node(folder, node)
    return folder


@pytest.fixture
def host(tmp_path: Path, certificates: Path, cache: Path) -> Iterator[LoneHost]:
    host = LoneHost.make(tmp_path / "host", certificates, cache / "qemu/7.2/qemu-system-x86_64")
    yield host
    assert host.nothing_is_left()


def program(folder: Path, says: str) -> Path:
    """An executable that prints one line."""
    file = folder / "qemu"
    file.write_text(f"#!/bin/sh\necho '{says}'\n")
    file.chmod(0o700)
    return file


# --- the configuration: exit code 3 ---


def test_all_mistakes_of_the_file_are_told_at_once_with_key_value_and_range(host: LoneHost) -> None:
    host.change('name = "web"', 'name = "web"\ncolor = "red"\nmachin = "q35"')
    host.change("memory_mib = 32", "memory_mib = 8")
    host.change('mac = "52:54:00:c0:10:01"', 'mac = "52:54:00:00:01"')
    host.change('peer_node = "beta"', "peer_node = 7")
    said = colo("agent", host.config)
    assert said.code == 3
    assert said.message == f"{host.config}: 5 problems\n" + MISTAKES.format(
        known=", ".join(attrs.fields_dict(VmConfig))
    ).strip("\n")
    assert said.hint == "correct the file; docs/configuration.md describes every key"
    assert not host.run_dir.exists()
    assert not host.state_dir.exists()


@pytest.mark.parametrize("command", ["agent", "status"])
def test_a_file_that_is_not_there_is_told_by_every_command(tmp_path: Path, command: str) -> None:
    said = colo(command, tmp_path / "web.toml")
    assert (said.code, said.message) == (3, f"{tmp_path}/web.toml: No such file or directory")
    assert said.hint


def test_files_that_the_configuration_names_are_looked_at_before_anything_is_made(host: LoneHost) -> None:
    host.change("[[vm.nic]]", 'kernel = "vmlinuz"\ninitrd = "."\n[[vm.nic]]')
    said = colo("agent", host.config)
    assert said.code == 3
    assert said.message.splitlines() == [
        f"{host.config}: 2 problems",
        f"  vm.kernel: {host.folder}/vmlinuz: No such file or directory",
        f"  vm.initrd: {host.folder}: is a folder, not a file",
    ]
    assert not host.run_dir.exists()


def test_a_certificate_of_another_node_is_told_before_anything_is_made(host: LoneHost) -> None:
    host.change("/alpha.pem", "/beta.pem")
    host.change("/alpha.key", "/beta.key")
    said = colo("agent", host.config)
    assert said.code == 3
    assert "beta.pem is for beta, not for alpha" in said.message
    assert said.hint == "make it with: colo cert node alpha"
    assert not host.run_dir.exists()


# --- QEMU: exit code 5 ---


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (None, "no program '{qemu}'"),
        ("QEMU emulator version 6.0.1", "{qemu} is version 6.0, too old (-netdev stream came with 7.2)"),
        ("hello", "{qemu} does not say that it is QEMU: 'hello\\n'"),
    ],
)
def test_a_qemu_that_is_missing_too_old_or_none_is_told_before_anything_is_made(
    host: LoneHost, says: str | None, message: str
) -> None:
    qemu = program(host.folder, says) if says else host.folder / "nothing"
    host.change(f'"{host.qemu}"', f'"{qemu}"')
    said = colo("agent", host.config)
    assert (said.code, said.message) == (5, message.format(qemu=qemu))
    assert "7.2 or newer" in said.hint
    assert not host.run_dir.exists()


# --- no agent: exit code 4; what is taken: exit code 8 ---


@pytest.mark.parametrize("command", ["status", "failover"])
def test_without_an_agent_there_is_no_answer(host: LoneHost, command: str) -> None:
    plain = colo(command, host.config)
    assert (plain.code, plain.out) == (4, "")
    assert plain.message.startswith(f"no agent answers on {host.run_dir}/agent.sock")
    told = json.loads(colo(command, host.config, "--format", "json").err)
    assert told == {"error": plain.message, "hint": plain.hint, "exit_code": 4}


def test_a_port_that_is_taken_is_told_and_the_run_folder_is_free_again(host: LoneHost) -> None:
    with socket.create_server((LOOPBACK, host.port)):
        said = colo("agent", host.config)
    assert (said.code, said.message) == (8, f"cannot listen on {LOOPBACK}:{host.port}: the port is taken")
    assert "agent.listen" in said.hint
    with host.agent():
        assert host.status()["state"] == "idle"


def test_folders_of_a_living_agent_are_refused_and_that_agent_lives_on(
    host: LoneHost, certificates: Path
) -> None:
    other = LoneHost.make(host.folder / "other", certificates, Path("/bin/false"))
    other.config.write_text(host.config.read_text())
    other.change(f":{host.port}", f":{other.port}")
    other.change('"run"', f'"{host.run_dir}"')
    with host.agent() as agent:
        said = colo("agent", other.config)
        assert said.code == 8
        assert said.message == f"process {agent.pid} uses the folder {host.run_dir} already"
        assert "colo stop" in said.hint
        other.change(f'"{host.run_dir}"', '"run"')
        other.change('"state"', f'"{host.state_dir}"')
        said = colo("agent", other.config)
        assert said.code == 8
        assert said.message == f"process {agent.pid} uses the folder {host.state_dir} already"
        assert host.status()["state"] == "idle"
    assert other.nothing_is_left()


# --- folders without room: exit code 9 ---


@pytest.mark.parametrize(("folder", "room"), [("run", 0), ("state", 0), ("state", 4096)])
def test_a_full_disk_is_told_at_the_agents_start(host: LoneHost, folder: str, room: int) -> None:
    """4096 bytes are room for the lock, but not for the token."""
    with tmpfs(host.folder / folder, "64k") as full, host.uplink():
        fill(full, room)
        said = colo("agent", host.config)
        assert said.code == 9
        assert str(full) in said.message
        assert "No space left on device" in said.message
        assert "free some space" in said.hint


@pytest.mark.parametrize("room", [0, 4096])
def test_a_full_disk_is_told_at_the_witnesss_start(tmp_path: Path, certificates: Path, room: int) -> None:
    with tmpfs(tmp_path / "state", "64k") as full:
        fill(full, room)
        said = colo(*witness_command(certificates, full, free_port()))
        assert said.code == 9
        assert "No space left on device" in said.message
        assert "free some space" in said.hint
        assert not (full / "leases.json").exists()


def test_a_run_folder_that_is_full_by_then_leaves_no_vm_and_no_lease(
    host: LoneHost, certificates: Path
) -> None:
    with tmpfs(host.run_dir, "40m") as run_dir, host.witness(certificates), host.agent():
        fill(run_dir)
        before = memory_files(SHARED)  # that is where the memory will be, for lack of room here
        said = colo("protect", host.config)
        assert said.code == 9
        assert "No space left on device" in said.message
        assert said.hint
        until_idle(host)
        assert not [line for line in processes(host.folder) if "qemu-system" in line]
        assert sockets(run_dir) == [run_dir / "agent.sock"]
        assert not abandoned((memory_files(run_dir) | memory_files(SHARED)) - before)
        assert "run out" in colo("lease", "show", host.config).out, "the lease is given back"
        (run_dir / "ballast").unlink()
        assert colo("protect", host.config).code == 6, "with room again, only the peer is missing"
        assert host.status()["state"] == "unprotected"


def until_idle(host: LoneHost) -> None:
    """The VM that could not be started is cleared away after the answer."""
    for _ in range(50):
        if host.status()["state"] == "idle":
            return
    pytest.fail(f"still {host.status()}")


# --- the witness: exit code 10 ---


def test_without_a_witness_nothing_starts(tmp_path: Path, host: LoneHost, certificates: Path) -> None:
    booting = LoneHost.make(tmp_path / "booting", certificates, host.qemu)
    log = tmp_path / "booting.log"
    with (
        booting.uplink(),
        host.agent(),
        running(log, "agent", "--boot", str(booting.config)) as agent,
    ):
        said = colo("protect", host.config, "--format", "json")
        told = json.loads(said.err)
        status = host.status()
        agent.wait(timeout=30)
    assert (said.code, told["exit_code"]) == (10, 10)
    reason = f"the witness at {LOOPBACK}:{host.witness_port} cannot be reached"
    assert told["error"].startswith(f"not started: {reason}")
    assert told["hint"]
    assert (status["state"], status["qemu_pid"]) == ("idle", None)
    assert status["why"] == told["error"]
    assert agent.returncode == 10
    assert f"error: not started: the witness at {LOOPBACK}:{booting.witness_port}" in log.read_text()
    assert booting.nothing_is_left()


# --- what the machine lacks: exit code 11 ---


@pytest.mark.parametrize(
    ("through", "message", "hint"),
    [
        ((), "there is no bridge 'nobridge' on this host", "make it: ip link add nobridge type bridge"),
        (NO_ADMIN, f"cannot create the tap device '{TAP}': Operation not permitted", "give CAP_NET_ADMIN"),
    ],
    ids=["no-bridge", "no-privilege"],
)
def test_an_uplink_that_cannot_be_made_is_told_and_leaves_no_device(
    host: LoneHost, through: tuple[str, ...], message: str, hint: str
) -> None:
    host.change('{ unix = "uplink.sock" }', f'{{ tap = "{TAP}", bridge = "nobridge" }}')
    said = colo("agent", host.config, through=through)
    assert (said.code, said.message) == (11, message)
    assert hint in said.hint
    assert not Path(f"/sys/class/net/{TAP}").exists()
